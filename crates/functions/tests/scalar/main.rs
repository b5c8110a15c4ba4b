//! Scalar functions against tables of examples.
//!
//! A line is `call = result`. Each is evaluated with constant arguments, with columns for all of them, and with a column
//! for the first only; all must agree. Columns have a NULL row first, which strict functions answer with NULL.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

mod harness;
mod tables;

use fleuve_functions::registry;

#[test]
fn every_documented_example_holds() {
    let mut examples = 0;
    for function in registry::documentation().iter().filter(|function| !function.example.is_empty()) {
        harness::check(&function.example);
        examples += 1;
    }
    assert!(examples > 90, "only {examples} functions have an example");
}

#[test]
fn every_name_is_documented() {
    let documented: Vec<&str> = registry::documentation().iter().map(|function| function.name.as_str()).collect();
    for name in registry::scalar_names() {
        let function = registry::scalar(name).expect("it was listed");
        assert!(documented.contains(&function.name()), "{name} ({})", function.name());
    }
    for function in registry::documentation() {
        assert!(!function.signature.is_empty() && !function.summary.is_empty(), "{}", function.name);
    }
}

#[test]
fn text_functions() {
    harness::check_all(tables::TEXT);
}

#[test]
fn regular_expressions() {
    harness::check_all(tables::REGEX);
}

#[test]
fn time_functions() {
    harness::check_all(tables::TIME);
}

#[test]
fn patterns_of_time() {
    harness::check_all(tables::PATTERNS);
}

#[test]
fn math_functions() {
    harness::check_all(tables::MATH);
}

#[test]
fn other_functions() {
    harness::check_all(tables::OTHERS);
}

#[test]
fn a_session_zone_shows_instants_in_local_time() {
    harness::check_in_zone("Asia/Shanghai", tables::IN_SHANGHAI);
    harness::check_in_zone("America/New_York", tables::IN_NEW_YORK);
}

#[test]
fn mistakes_are_refused_when_the_call_is_compiled() {
    for (call, code, part) in tables::REFUSED {
        let error = harness::compile_error(call);
        assert_eq!(error.code(), *code, "{call}: {error}");
        assert!(error.to_string().contains(part), "{call}: {error}");
    }
}

#[test]
fn result_types_are_flinks() {
    for (call, expected) in tables::TYPES {
        assert_eq!(harness::result_type(call), *expected, "{call}");
    }
}
