//! Settings of listeners: `listener.NAME.address` and the like, for as many names as there are listeners.

use std::collections::BTreeMap;
use std::path::PathBuf;

use fleuve_base::{Error, Result};
use fleuve_server::{ListenerConfig, Mechanism, TlsConfig};

use super::value::{boolean, list};
use super::{Given, GivenValues, Origin};

/// What the names begin with.
const PREFIX: &str = "listener.";

/// The listener that there is if none is named.
pub const DEFAULT_NAME: &str = "kafka";

/// Where it listens.
const DEFAULT_ADDRESS: &str = "127.0.0.1:9092";

/// What can be set of a listener, and what it means.
pub const PARTS: [(&str, &str); 7] = [
    ("address", "HOST:PORT to listen on; port 0 takes a free one"),
    ("advertised", "HOST:PORT that clients are told to connect to, if that is another"),
    ("certificate", "PEM file of the server's certificate; with it the listener speaks TLS"),
    ("key", "PEM file of the certificate's private key"),
    ("client-ca", "PEM file of authorities; every client must show a certificate of theirs (mutual TLS)"),
    (
        "sasl",
        "SASL mechanisms: PLAIN (only with TLS), SCRAM-SHA-256, SCRAM-SHA-512; requests before the login are refused",
    ),
    (
        "insecure",
        "listen beyond loopback without TLS or without authentication: whoever reaches the port can read all that passes, \
         and without authentication read, change and delete every topic",
    ),
];

/// The listener's name and the part of a setting's name.
fn split(name: &str) -> Option<(&str, &str)> {
    let (listener, part) = name.strip_prefix(PREFIX)?.rsplit_once('.')?;
    (!listener.is_empty() && !listener.contains('.')).then_some((listener, part))
}

/// Whether there is such a setting.
pub(super) fn is_setting(name: &str) -> bool {
    split(name).is_some_and(|(_, part)| PARTS.iter().any(|(known, _)| *known == part))
}

/// All settings of the listener that `name` seems to be about.
pub(super) fn names(name: &str) -> Vec<String> {
    let listener = name.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next()).unwrap_or(DEFAULT_NAME);
    PARTS.iter().map(|(part, _)| format!("{PREFIX}{listener}.{part}")).collect()
}

/// The setting of a variable of the environment, without its prefix: `LISTENER_EAST_ADDRESS`.
pub(super) fn setting_of(variable: &str) -> Option<String> {
    let rest = variable.strip_prefix("LISTENER_")?;
    PARTS.iter().find_map(|(part, _)| {
        let listener = rest.strip_suffix(&part.to_uppercase().replace('-', "_"))?.strip_suffix('_')?;
        (!listener.is_empty()).then(|| format!("{PREFIX}{}.{part}", listener.to_lowercase()))
    })
}

/// `--kafka ADDRESS` or `--kafka NAME=ADDRESS`.
pub fn flag(text: &str) -> (String, Given) {
    let (name, address) = text.split_once('=').unwrap_or((DEFAULT_NAME, text));
    let given = Given { value: address.to_owned(), origin: Origin::Flag(format!("--kafka {text}")) };
    (format!("{PREFIX}{name}.address"), given)
}

/// The listeners that are set up, or the one that there is by default.
pub(super) fn read(given: &GivenValues) -> Result<Vec<ListenerConfig>> {
    let mut by_name: BTreeMap<&str, BTreeMap<&str, &Given>> = BTreeMap::new();
    for (name, value) in given {
        if let Some((listener, part)) = split(name) {
            by_name.entry(listener).or_default().insert(part, value);
        }
    }
    if by_name.is_empty() {
        by_name.insert(DEFAULT_NAME, BTreeMap::new());
    }
    by_name.into_iter().map(|(name, parts)| listener(name, &parts)).collect()
}

fn listener(name: &str, parts: &BTreeMap<&str, &Given>) -> Result<ListenerConfig> {
    let text = |part: &str| parts.get(part).map(|given| given.value.clone());
    let address = match (text("address"), name) {
        (Some(address), _) => address,
        (None, DEFAULT_NAME) => DEFAULT_ADDRESS.to_owned(),
        (None, _) => {
            return Err(Error::input("E606", format!("the listener `{name}` has no address"))
                .with_hint(format!("set {PREFIX}{name}.address = \"127.0.0.1:9093\"")));
        }
    };
    let advertised = text("advertised");
    if let (Some(advertised), Some(given)) = (&advertised, parts.get("advertised")) {
        fleuve_server::split_address(advertised).map_err(|e| given.error("E606", e.message().to_owned()))?;
    }
    let (sasl, insecure) = (mechanisms(parts)?, flagged(name, parts)?);
    Ok(ListenerConfig { name: name.to_owned(), address, advertised, tls: tls(name, parts)?, sasl, insecure })
}

fn flagged(name: &str, parts: &BTreeMap<&str, &Given>) -> Result<bool> {
    let Some(given) = parts.get("insecure") else { return Ok(false) };
    boolean(&given.value)
        .map_err(|wanted| given.error("E606", format!("{PREFIX}{name}.insecure takes {wanted}, not `{}`", given.value)))
}

fn mechanisms(parts: &BTreeMap<&str, &Given>) -> Result<Vec<Mechanism>> {
    let Some(given) = parts.get("sasl") else { return Ok(vec![]) };
    let known = || Mechanism::ALL.map(Mechanism::name).join(", ");
    let find = |name: String| {
        let unknown = || given.error("E606", format!("there is no SASL mechanism `{name}`"));
        Mechanism::find(&name).ok_or_else(|| unknown().with_hint(format!("there are {}", known())))
    };
    list(&given.value).into_iter().map(find).collect()
}

fn tls(name: &str, parts: &BTreeMap<&str, &Given>) -> Result<Option<TlsConfig>> {
    let path = |part: &str| parts.get(part).map(|given| PathBuf::from(&given.value));
    let client_ca = path("client-ca");
    match (path("certificate"), path("key")) {
        (Some(certificate), Some(key)) => Ok(Some(TlsConfig { certificate, key, client_ca })),
        (None, None) if client_ca.is_none() => Ok(None),
        _ => Err(Error::input("E606", format!("the listener `{name}` needs both a certificate and a key for TLS"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(values: &[(&str, &str)]) -> GivenValues {
        let entry = |(name, value): &(&str, &str)| {
            ((*name).to_owned(), Given { value: (*value).to_owned(), origin: Origin::Default })
        };
        values.iter().map(entry).collect()
    }

    #[test]
    fn without_any_there_is_one_on_loopback() {
        assert_eq!(read(&given(&[])).expect("fits"), [ListenerConfig::plain("kafka", "127.0.0.1:9092")]);
    }

    #[test]
    fn listeners_are_put_together_by_name() {
        let listeners = read(&given(&[
            ("listener.kafka.advertised", "broker:1"),
            ("listener.east.address", "0.0.0.0:9093"),
            ("listener.east.certificate", "c"),
            ("listener.east.key", "k"),
            ("listener.east.sasl", "plain,SCRAM-SHA-512"),
        ]));
        let listeners = listeners.expect("fits");
        assert_eq!(listeners.len(), 2);
        assert_eq!(listeners[0].sasl, [Mechanism::Plain, Mechanism::ScramSha512]);
        assert!(listeners[0].authenticates() && listeners[0].tls.is_some());
        assert_eq!(
            (listeners[1].address.as_str(), listeners[1].advertised.as_deref()),
            ("127.0.0.1:9092", Some("broker:1"))
        );
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        for wrong in [
            &[("listener.east.sasl", "PLAIN")][..],
            &[("listener.kafka.key", "k")],
            &[("listener.kafka.sasl", "GSSAPI")],
            &[("listener.kafka.insecure", "maybe")],
            &[("listener.kafka.advertised", "broker")],
        ] {
            assert_eq!(read(&given(wrong)).expect_err("is refused").code(), "E606", "{wrong:?}");
        }
    }

    #[test]
    fn a_flag_names_a_listener_or_means_the_default() {
        assert_eq!(flag("127.0.0.1:0").0, "listener.kafka.address");
        assert_eq!(
            flag("east=0.0.0.0:9093"),
            (
                "listener.east.address".to_owned(),
                Given {
                    value: "0.0.0.0:9093".to_owned(),
                    origin: Origin::Flag("--kafka east=0.0.0.0:9093".to_owned()),
                }
            )
        );
    }
}
