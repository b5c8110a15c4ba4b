//! A broker with logins, TLS and permissions, for the scenario `security`.
//!
//! It has four listeners: one without anything, whose clients may do everything; SCRAM without TLS; PLAIN and SCRAM over TLS; and TLS
//! that asks for a certificate. There is one user, alice, and no permission: what she may do is the program's to grant. The program
//! finds in its environment, beside what every scenario has, `SCRAM`, `TLS` and `MTLS` (`HOST:PORT` each), `CERTIFICATES` (the directory
//! of the files below), `USERNAME` and `PASSWORD` (hers), and `PRINCIPAL` (whose name the client's certificate bears).

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::broker::{self, Broker};
use super::reference;

/// The user that there is, and her password, which is no secret.
const USER: &str = "alice";
const PASSWORD: &str = "alice-secret";

/// The principal of the client's certificate.
const PRINCIPAL: &str = "User:CN=client";

/// Listeners beside the one that is open, in the environment's names.
const LISTENERS: [&str; 3] = ["SCRAM", "TLS", "MTLS"];

/// A broker, and what a program has to know of it.
pub struct Secure {
    /// The process.
    pub broker: Broker,
    /// The further environment of a program.
    pub environment: Vec<(&'static str, String)>,
}

impl Secure {
    fn new(broker: Broker, addresses: [String; 3], certificates: &Path) -> Self {
        let own = [
            ("CERTIFICATES", certificates.display().to_string()),
            ("USERNAME", USER.to_owned()),
            ("PASSWORD", PASSWORD.to_owned()),
            ("PRINCIPAL", PRINCIPAL.to_owned()),
        ];
        Self { broker, environment: LISTENERS.into_iter().zip(addresses).chain(own).collect() }
    }
}

/// Our binary.
pub fn fleuve(binary: &Path) -> Result<Secure, String> {
    let home = broker::fresh("secure")?;
    let certificates = certificates(&home)?;
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut arguments: Vec<String> = ["--http", "off", "--kafka", "127.0.0.1:0"].map(str::to_owned).to_vec();
    for name in LISTENERS {
        arguments.extend(["--kafka".to_owned(), format!("{}=127.0.0.1:0", name.to_lowercase())]);
    }
    let tls = |listener: &str| {
        let part = |part: &str, name: &str| format!("listener.{listener}.{part}={}", file(name));
        [part("certificate", "server.pem"), part("key", "server.key")]
    };
    let settings = [
        "super.users=User:ANONYMOUS".to_owned(),
        "allow.everyone.if.no.acl.found=false".to_owned(),
        "listener.scram.sasl=SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
        "listener.tls.sasl=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512".to_owned(),
        format!("listener.mtls.client-ca={}", file("ca.pem")),
    ];
    for setting in settings.into_iter().chain(tls("tls")).chain(tls("mtls")) {
        arguments.extend(["--set".to_owned(), setting]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let broker = Broker::fleuve_in(binary, &home, &arguments)?;
    add_user(binary, &broker.bootstrap)?;
    let address = |name: &str| {
        broker.listener(&name.to_lowercase()).ok_or_else(|| format!("the listener {name} was not announced"))
    };
    let [scram, tls, mtls] = LISTENERS.map(address);
    let addresses = [scram?, tls?, mtls?];
    Ok(Secure::new(broker, addresses, &certificates))
}

/// The password goes through standard input, as from an administrator.
fn add_user(binary: &Path, bootstrap: &str) -> Result<(), String> {
    let mut command = Command::new(binary);
    command.args(["user", "add", USER, "--bootstrap", bootstrap]).stdin(Stdio::piped());
    let mut process = command.spawn().map_err(|e| format!("{command:?}: {e}"))?;
    let mut stdin = process.stdin.take().ok_or("the process has no input")?;
    writeln!(stdin, "{PASSWORD}").map_err(|e| format!("the password is not taken: {e}"))?;
    drop(stdin);
    match process.wait() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the user {USER} cannot be added")),
    }
}

/// Apache Kafka with the same listeners and the same user.
pub fn reference() -> Result<Secure, String> {
    let home = broker::fresh("secure-kafka")?;
    let certificates = certificates(&home)?;
    let ports = [reference::free_port()?, reference::free_port()?, reference::free_port()?];
    let [scram, tls, mtls] = ports;
    let file = |name: &str| certificates.join(name).display().to_string();
    let mut properties = format!(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SCRAM:SASL_PLAINTEXT,TLS:SASL_SSL,MTLS:SSL
listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512
listener.name.tls.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.tls.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";
listener.name.mtls.ssl.client.auth=required
ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
",
        file("server.both.pem"),
        file("ca.pem"),
    );
    for (listener, mechanism) in [("scram", "256"), ("scram", "512"), ("tls", "256"), ("tls", "512")] {
        properties += &format!(
            "listener.name.{listener}.scram-sha-{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        );
    }
    let setup = reference::Setup {
        machine: &["-Xmx512m"],
        properties: &properties,
        listeners: &[("SCRAM", scram), ("TLS", tls), ("MTLS", mtls)],
        users: &["256", "512"].map(|bits| format!("SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]")),
    };
    let broker = reference::start_in(&home, &setup)?;
    Ok(Secure::new(broker, ports.map(|port| format!("127.0.0.1:{port}")), &certificates))
}

/// An authority, and what it issued to a server and to a client: `NAME.pem`, `NAME.key`, and both in `NAME.both.pem`.
fn certificates(home: &Path) -> Result<PathBuf, String> {
    let directory = home.join("certificates");
    fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    let key = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"];
    let issue = |name: &str, further: &[&str]| {
        let (subject, out, private) = (format!("/CN={name}"), format!("{name}.pem"), format!("{name}.key"));
        let mut command = Command::new("openssl");
        command.current_dir(&directory).args(key).args(["-subj", &subject, "-out", &out, "-keyout", &private]);
        command.args(further).stdin(Stdio::null());
        match command.output() {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(format!("openssl: {}", String::from_utf8_lossy(&output.stderr))),
            Err(e) => Err(format!("openssl cannot be started: {e}")),
        }
    };
    issue("ca", &[])?;
    let by_it = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE", "-addext"];
    for (name, alternative) in
        [("server", "subjectAltName=IP:127.0.0.1,DNS:localhost"), ("client", "subjectAltName=DNS:client")]
    {
        issue(name, &[&by_it[..], &[alternative]].concat())?;
        let text = |end: &str| crate::files::text(&directory.join(format!("{name}.{end}")));
        let both = directory.join(format!("{name}.both.pem"));
        fs::write(&both, text("key") + &text("pem")).map_err(|e| format!("{}: {e}", both.display()))?;
    }
    Ok(directory)
}
