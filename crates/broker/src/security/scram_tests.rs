//! SCRAM against the vectors of the RFCs, and against clients that cheat.

use super::*;

/// A client, written from the RFC and apart from the server.
struct Client {
    mechanism: ScramMechanism,
    password: &'static str,
    bare: String,
    header: &'static str,
}

impl Client {
    fn new(mechanism: ScramMechanism, user: &str, password: &'static str) -> Self {
        Client { mechanism, password, bare: format!("n={user},r=clientnonce"), header: "n,," }
    }

    fn first(&self) -> Vec<u8> {
        format!("{}{}", self.header, self.bare).into_bytes()
    }

    fn last(&self, server_first: &str, tweak: impl Fn(String) -> String) -> Vec<u8> {
        let field = |name| server_first.split(',').find_map(|a| a.strip_prefix(name)).unwrap();
        let salt = BASE64.decode(field("s=")).unwrap();
        let salted = self.mechanism.salted_password(self.password.as_bytes(), &salt, field("i=").parse().unwrap());
        let client_key = self.mechanism.hmac(&salted, b"Client Key");
        let without_proof = tweak(format!("c={},r={}", BASE64.encode(self.header), field("r=")));
        let auth_message = format!("{},{server_first},{without_proof}", self.bare);
        let signature = self.mechanism.hmac(&self.mechanism.hash(&client_key), auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes()
    }
}

fn credential(mechanism: ScramMechanism) -> ScramCredential {
    ScramCredential::of_password(mechanism, b"pencil", b"salt".to_vec(), ITERATIONS_MIN)
}

fn known(credential: ScramCredential) -> impl Fn(&str) -> Candidate {
    move |_| Candidate { credential: credential.clone(), known: true }
}

fn text(step: ScramStep) -> String {
    let (ScramStep::Continue(bytes) | ScramStep::Done { message: bytes, .. }) = step;
    String::from_utf8(bytes).unwrap()
}

fn login(client: &Client, tweak: impl Fn(String) -> String) -> Result<ScramStep, ScramError> {
    let stored = credential(client.mechanism);
    let mut exchange = ScramExchange::new("servernonce".to_owned());
    let first = text(exchange.step(&client.first(), known(stored.clone()))?);
    exchange.step(&client.last(&first, tweak), known(stored))
}

#[test]
fn the_vector_of_rfc_7677() {
    let salt = BASE64.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
    let stored = known(ScramCredential::of_password(ScramMechanism::Sha256, b"pencil", salt, 4096));
    let mut exchange = ScramExchange::new("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned());
    let first = exchange.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &stored).unwrap();
    assert_eq!(text(first), "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
    let last =
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
    let done = exchange.step(last, &stored).unwrap();
    let message = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=".to_vec();
    assert_eq!(done, ScramStep::Done { user: "user".to_owned(), message });
}

#[test]
fn a_known_exchange_with_sha_512() {
    let salt = BASE64.decode("Yin2FuHTt/M0kJWb0t9OI32n2VmOGi3m+JfjOvuDF88=").unwrap();
    let stored = known(ScramCredential::of_password(ScramMechanism::Sha512, b"pencil", salt, 4096));
    let mut exchange = ScramExchange::new("02431b08-2f89-4bad-a4e6-80c0564ec865".to_owned());
    exchange.step(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO", &stored).unwrap();
    let last = b"c=biws,r=rOprNGfwEbeRWgbNEkqO02431b08-2f89-4bad-a4e6-80c0564ec865,p=Hc5yec3NmCD7t+kFRw4/3yD6/F3SQHc7AVYschRja+Bc3sbdjlA0eH1OjJc0DD4ghn1tnXN5/Wr6qm9xmaHt4A==";
    let done = text(exchange.step(last, &stored).unwrap());
    assert_eq!(done, "v=BQuhnKHqYDwQWS5jAw4sZed+C9KFUALsbrq81bB0mh+bcUUbbMPNNmBIupnS2AmyyDnG5CTBQtkjJ9kyY4kzmw==");
}

#[test]
fn the_right_password_logs_in_with_both_mechanisms_and_flags() {
    for mechanism in ScramMechanism::ALL {
        let mut client = Client::new(mechanism, "us=2Cer=3D", "pencil");
        for header in ["n,,", "y,,", "n,a=us=2Cer=3D,"] {
            client.header = header;
            let done = login(&client, |m| m).unwrap();
            assert!(matches!(done, ScramStep::Done { user, .. } if user == "us,er="), "{header}");
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_alike() {
    let client = Client::new(ScramMechanism::Sha256, "user", "pencil!");
    assert_eq!(login(&client, |m| m), Err(ScramError::Credentials));

    // Even a proof that fits the mock credential is wrong.
    let client = Client::new(ScramMechanism::Sha256, "nobody", "pencil");
    let mock = |_: &str| Candidate { credential: credential(ScramMechanism::Sha256), known: false };
    let mut exchange = ScramExchange::new("servernonce".to_owned());
    let first = text(exchange.step(&client.first(), mock).unwrap());
    assert_eq!(exchange.step(&client.last(&first, |m| m), mock), Err(ScramError::Credentials));
}

#[test]
fn the_nonce_is_checked_whole() {
    let client = Client::new(ScramMechanism::Sha256, "user", "pencil");
    for other in ["clientnonce", "clientnonceservernonc", "clientnonceservernoncex", "", "servernonce"] {
        let tweak = |m: String| m.replace("clientnonceservernonce", other);
        assert_eq!(login(&client, tweak), Err(ScramError::Nonce), "{other:?}");
    }
}

#[test]
fn the_header_must_be_repeated() {
    let client = Client::new(ScramMechanism::Sha256, "user", "pencil");
    for other in ["eSws", "biwsLA==", "", "!!", "cD10bHMtdW5pcXVlLCw="] {
        assert_eq!(login(&client, |m| m.replace("biws", other)), Err(ScramError::Header), "{other:?}");
    }
}

#[test]
fn an_exchange_is_over_after_its_end() {
    let client = Client::new(ScramMechanism::Sha256, "user", "pencil");
    let stored = known(credential(ScramMechanism::Sha256));
    let mut exchange = ScramExchange::new("servernonce".to_owned());
    let first = text(exchange.step(&client.first(), &stored).unwrap());
    let wrong = client.last(&first, |m| m.replace("servernonce", "x"));
    assert_eq!(exchange.step(&wrong, &stored), Err(ScramError::Nonce));
    // A second try with the right message does not help.
    assert_eq!(exchange.step(&client.last(&first, |m| m), &stored), Err(ScramError::Over));
}

#[test]
fn what_is_not_of_the_form_is_refused() {
    let cases: [(&[u8], ScramError); 16] = [
        (b"", ScramError::Malformed),
        (b"n,,", ScramError::Malformed),
        (b"n,,n=user", ScramError::Malformed),
        (b"n,,n=user,r=", ScramError::Malformed),
        (b"n,,n=,r=abc", ScramError::Malformed),
        (b"n,,r=abc,n=user", ScramError::Malformed),
        (b"n,,n=us=er,r=abc", ScramError::Malformed),
        (b"n,,n=us=2cer,r=abc", ScramError::Malformed),
        (b"n,,n=user,r=a\x7fb", ScramError::Malformed),
        (b"x,,n=user,r=abc", ScramError::Malformed),
        (b"n,b=user,n=user,r=abc", ScramError::Malformed),
        (b"n,,n=\xff,r=abc", ScramError::Malformed),
        (b"n,a=admin,n=user,r=abc", ScramError::AuthorizationId),
        (b"p=tls-unique,,n=user,r=abc", ScramError::ChannelBinding),
        (b"n,,m=must,n=user,r=abc", ScramError::Extension),
        (b"n,,n=user,r=abc,tokenauth=true", ScramError::Extension),
    ];
    for (message, error) in cases {
        let mut exchange = ScramExchange::new("servernonce".to_owned());
        let step = exchange.step(message, known(credential(ScramMechanism::Sha256)));
        assert_eq!(step, Err(error), "{:?}", String::from_utf8_lossy(message));
    }
}

#[test]
fn the_last_message_must_be_of_the_form() {
    let stored = known(credential(ScramMechanism::Sha256));
    for message in ["", "p=", "c=biws,p=AA==", "r=abcs,p=AA==", "c=biws,r=abcs", "c=biws,r=abcs,p=!"] {
        let mut exchange = ScramExchange::new("s".to_owned());
        exchange.step(b"n,,n=user,r=abc", &stored).unwrap();
        assert_eq!(exchange.step(message.as_bytes(), &stored), Err(ScramError::Malformed), "{message:?}");
    }
    for proof in ["", "AA==", "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="] {
        let mut exchange = ScramExchange::new("s".to_owned());
        exchange.step(b"n,,n=user,r=abc", &stored).unwrap();
        let message = format!("c=biws,r=abcs,p={proof}");
        assert_eq!(exchange.step(message.as_bytes(), &stored), Err(ScramError::Credentials), "{proof:?}");
    }
}

#[test]
fn a_password_is_known_from_its_credential() {
    for mechanism in ScramMechanism::ALL {
        let credential = credential(mechanism);
        assert!(credential.is_password(b"pencil"));
        assert!(!credential.is_password(b"pencil "));
        assert!(!credential.is_password(b""));
        assert!(!format!("{credential:?}").contains("key"));
    }
}
