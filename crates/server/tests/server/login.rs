//! Logins: nothing before them, and only with the right password.

use std::net::TcpStream;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use fleuve_broker::security::ScramMechanism;
use fleuve_server::{Limits, ListenerConfig, Mechanism, ServerConfig};
use fleuve_wire::messages::sasl_authenticate_request::SaslAuthenticateRequest;
use fleuve_wire::messages::sasl_authenticate_response::SaslAuthenticateResponse;
use fleuve_wire::messages::sasl_handshake_request::SaslHandshakeRequest;
use fleuve_wire::messages::sasl_handshake_response::SaslHandshakeResponse;
use fleuve_wire::{ApiKey, ErrorCode, Response};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::world::{Client, World, config, metadata, versions};

/// A listener that asks for a login, and the users alice and bob.
fn world(limits: Limits) -> World {
    let listener = ListenerConfig {
        sasl: vec![Mechanism::ScramSha256, Mechanism::Plain],
        // PLAIN is not offered without TLS however much it is wished for.
        insecure: true,
        ..ListenerConfig::plain("kafka", "127.0.0.1:0")
    };
    let world = World::new(ServerConfig { listeners: vec![listener], limits, ..config() });
    for user in ["alice", "bob"] {
        let (done, told) = std::sync::mpsc::channel();
        let done = Box::new(move |outcome| done.send(outcome).expect("someone waits"));
        world.broker.security().set_password(user, b"pencil", done);
        told.recv().expect("is told").expect("is durable");
    }
    world
}

fn handshake(client: &mut Client<TcpStream>, mechanism: &str) -> SaslHandshakeResponse {
    handshake_in(client, 1, mechanism)
}

fn handshake_in(client: &mut Client<TcpStream>, version: i16, mechanism: &str) -> SaslHandshakeResponse {
    match client.ask(version, SaslHandshakeRequest { mechanism: mechanism.to_owned() }) {
        Response::SaslHandshake(response) => response,
        other => panic!("{other:?}"),
    }
}

fn authenticate(client: &mut Client<TcpStream>, message: &str) -> SaslAuthenticateResponse {
    match client.ask(2, SaslAuthenticateRequest { auth_bytes: message.as_bytes().to_vec().into() }) {
        Response::SaslAuthenticate(response) => response,
        other => panic!("{other:?}"),
    }
}

/// A login by SCRAM-SHA-256 (RFC 5802, section 3) up to the last answer.
fn scram(client: &mut Client<TcpStream>, user: &str, password: &str) -> SaslAuthenticateResponse {
    assert_eq!(handshake(client, "SCRAM-SHA-256").error_code, 0);
    let first = format!("n={user},r=nonce-of-the-client");
    let answer = authenticate(client, &format!("n,,{first}"));
    assert_eq!(answer.error_code, 0);
    let last = last_message(&first, &answer.auth_bytes, password);
    authenticate(client, &last)
}

/// What a client that knows the server's first answer sends as the last message of SCRAM-SHA-256.
fn last_message(first: &str, challenge: &[u8], password: &str) -> String {
    let challenge = std::str::from_utf8(challenge).expect("is text");
    let field = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name)).expect("a field");
    let salt = BASE64.decode(field("s=")).expect("base64");
    let iterations = field("i=").parse().expect("a number");
    let salted = ScramMechanism::Sha256.salted_password(password.as_bytes(), &salt, iterations);
    let last = format!("c=biws,r={}", field("r="));
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(&client_key), format!("{first},{challenge},{last}").as_bytes());
    let proof: Vec<u8> = client_key.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
    format!("{last},p={}", BASE64.encode(proof))
}

/// Sends a token as clients do after version 0 of the handshake: a length and its bytes.
fn send_bare(client: &mut Client<TcpStream>, token: &str) {
    let length = i32::try_from(token.len()).expect("is short");
    std::io::Write::write_all(&mut client.stream, &length.to_be_bytes()).expect("is sent");
    std::io::Write::write_all(&mut client.stream, token.as_bytes()).expect("is sent");
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[test]
fn nothing_but_versions_and_a_login_may_be_asked_before_it() {
    let world = world(Limits::default());
    let mut client = world.connect();
    let Response::ApiVersions(found) = client.ask(3, versions()) else { panic!("no versions") };
    for api in [ApiKey::SaslHandshake, ApiKey::SaslAuthenticate] {
        assert!(found.api_keys.iter().any(|known| known.api_key == api.to_i16()), "{}", api.name());
    }
    client.send(9, metadata());
    assert!(client.is_closed());
    world.wait_for_metric("fleuve_protocol_errors_total", 1);
}

#[test]
fn the_right_password_opens_the_door() {
    let world = world(Limits::default());
    let mut client = world.connect();
    let answer = scram(&mut client, "alice", "pencil");
    assert_eq!((answer.error_code, answer.session_lifetime_ms), (0, 0));
    assert!(answer.auth_bytes.starts_with(b"v="), "the server proves itself, too");
    assert!(matches!(client.ask(9, metadata()), Response::Metadata(_)));
}

#[test]
fn a_wrong_password_is_answered_late_and_ends_the_connection() {
    let delay = Duration::from_millis(200);
    let world = world(Limits { failed_authentication_delay: delay, ..Limits::default() });
    for (user, password) in [("alice", "pencils"), ("nobody", "pencil")] {
        let mut client = world.connect();
        let begun = std::time::Instant::now();
        let answer = scram(&mut client, user, password);
        assert_eq!(ErrorCode(answer.error_code), ErrorCode::SASL_AUTHENTICATION_FAILED);
        assert!(begun.elapsed() >= delay);
        assert!(client.is_closed());
    }
    assert_eq!(world.metric("fleuve_failed_logins_total"), 2);
}

#[test]
fn a_client_whose_login_failed_has_time_to_read_why() {
    let world = world(Limits::default());
    let mut client = world.connect();
    assert_ne!(scram(&mut client, "alice", "pencils").error_code, 0);
    client.stream.set_read_timeout(Some(Duration::from_millis(1))).expect("a socket");
    let more = std::io::Read::read(&mut client.stream, &mut [0]);
    assert_eq!(more.expect_err("the end comes later").kind(), std::io::ErrorKind::WouldBlock);
    client.stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket");
    assert!(client.is_closed(), "but it comes");
}

#[test]
fn after_version_0_of_the_handshake_tokens_come_and_go_without_headers() {
    let world = world(Limits::default());
    for (password, right) in [("pencil", true), ("pencils", false)] {
        let mut client = world.connect();
        assert_eq!(handshake_in(&mut client, 0, "SCRAM-SHA-256").error_code, 0);
        let first = "n=alice,r=nonce-of-the-client";
        send_bare(&mut client, &format!("n,,{first}"));
        let challenge = client.receive_frame();
        assert!(challenge.starts_with(b"r=nonce-of-the-client"), "{challenge:?}");
        send_bare(&mut client, &last_message(first, &challenge, password));
        match right {
            true => {
                assert!(client.receive_frame().starts_with(b"v="));
                assert!(matches!(client.ask(9, metadata()), Response::Metadata(_)), "requests have headers again");
                // Such a client cannot log in again, but a newer one on the same connection could.
                assert_eq!(scram(&mut client, "alice", "pencil").error_code, 0);
            }
            false => assert!(client.is_closed(), "there is no place for an error"),
        }
    }
    assert_eq!(world.metric("fleuve_failed_logins_total"), 1);
}

#[test]
fn a_bare_token_that_is_no_message_of_the_mechanism_ends_the_connection() {
    let world = world(Limits::default());
    // One that looks like a fetch, and one that is empty.
    for token in ["\0\x01\0\x04\0\0\0\x01", ""] {
        let mut client = world.connect();
        assert_eq!(handshake_in(&mut client, 0, "SCRAM-SHA-256").error_code, 0);
        send_bare(&mut client, token);
        assert!(client.is_closed());
    }
    assert_eq!(world.metric("fleuve_failed_logins_total"), 2);
}

#[test]
fn a_mechanism_that_is_not_offered_is_refused_with_those_that_are() {
    let world = world(Limits::default());
    for mechanism in ["PLAIN", "SCRAM-SHA-512", "GSSAPI"] {
        let mut client = world.connect();
        let answer = handshake(&mut client, mechanism);
        assert_eq!(ErrorCode(answer.error_code), ErrorCode::UNSUPPORTED_SASL_MECHANISM, "{mechanism}");
        assert_eq!(answer.mechanisms, ["SCRAM-SHA-256"]);
        assert!(client.is_closed());
    }
}

#[test]
fn a_message_without_a_handshake_is_refused() {
    let world = world(Limits::default());
    let mut client = world.connect();
    assert_eq!(ErrorCode(authenticate(&mut client, "n,,n=alice,r=x").error_code), ErrorCode::ILLEGAL_SASL_STATE);
    assert!(client.is_closed());
}

#[test]
fn a_stranger_may_send_small_requests_only() {
    let world = world(Limits::default());
    let mut client = world.connect();
    std::io::Write::write_all(&mut client.stream, &(17_i32 << 10).to_be_bytes()).expect("is sent");
    assert!(client.is_closed());
}

#[test]
fn a_stranger_who_says_nothing_is_closed() {
    let world = world(Limits { greeting: Duration::from_millis(50), ..Limits::default() });
    assert!(world.connect().is_closed());
}

#[test]
fn a_client_may_log_in_again_under_its_name_and_has_to_in_time() {
    let world = world(Limits { reauthentication: Duration::from_millis(300), ..Limits::default() });
    let mut client = world.connect();
    assert_eq!(scram(&mut client, "alice", "pencil").session_lifetime_ms, 300);
    assert_eq!(scram(&mut client, "alice", "pencil").error_code, 0);
    assert!(matches!(client.ask(9, metadata()), Response::Metadata(_)));
    assert_ne!(scram(&mut client, "bob", "pencil").error_code, 0, "a connection has one user");
    let mut late = world.connect();
    assert_eq!(scram(&mut late, "alice", "pencil").error_code, 0);
    let begun = std::time::Instant::now();
    // It is served until its time is over, and then no more.
    while begun.elapsed() < Duration::from_millis(400) {
        late.send(9, metadata());
        if late.is_closed() {
            break;
        }
        return_rest(&mut late);
    }
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

/// Reads the rest of a frame whose first byte was taken to see whether the connection is open.
fn return_rest(client: &mut Client<TcpStream>) {
    let mut rest = [0; 3];
    std::io::Read::read_exact(&mut client.stream, &mut rest).expect("a length");
    let mut frame = vec![0; u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize];
    std::io::Read::read_exact(&mut client.stream, &mut frame).expect("a frame");
}
