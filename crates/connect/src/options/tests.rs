//! The errors that a misspelt or misplaced option gives.

use super::*;

fn options(pairs: &[(&str, &str)]) -> TableOptions {
    TableOptions(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn refused(usage: Use, pairs: &[(&str, &str)]) -> String {
    let error = Options::check("t", &options(pairs), usage).expect_err("the options are wrong");
    format!("{error}\n{}", error.hint().unwrap_or_default())
}

#[test]
fn misspelt_connectors_are_refused_with_the_nearest() {
    assert_eq!(
        refused(Use::Read, &[("connector", "filesytem")]),
        "error[E500]: table `t`: there is no connector `filesytem`\ndid you mean 'filesystem'?"
    );
    assert_eq!(
        refused(Use::Write, &[("connector", "kafka")]),
        "error[E503]: table `t` needs a 'format'\nadd 'format' = 'json' to its WITH options"
    );
    assert_eq!(
        refused(Use::Read, &[("connector", "print")]),
        "error[E500]: table `t`: a table with the `print` connector cannot be read\n\
         connectors that can: topic, kafka, upsert-kafka, filesystem, stdin, socket, datagen, nexmark"
    );
}

#[test]
fn misspelt_options_are_refused_with_the_nearest() {
    let table = [("connector", "filesystem"), ("format", "json"), ("path", "x"), ("sorce.monitor-interval", "1 s")];
    assert_eq!(
        refused(Use::Read, &table),
        "error[E501]: table `t`: the `filesystem` connector with format `json` has no option 'sorce.monitor-interval'\n\
         did you mean 'source.monitor-interval'?"
    );
}

#[test]
fn misspelt_formats_and_values_are_refused() {
    assert_eq!(
        refused(Use::Read, &[("connector", "filesystem"), ("format", "jsn")]),
        "error[E504]: table `t`: the `filesystem` connector has no format `jsn`\ndid you mean 'json'?"
    );
    assert_eq!(
        refused(Use::Read, &[("connector", "filesystem"), ("path", "x")]),
        "error[E503]: table `t` needs a 'format'\nadd 'format' = 'json' to its WITH options"
    );
    assert_eq!(
        refused(Use::Read, &[("scan.startup.mode", "oldest")]),
        "error[E502]: table `t`: 'scan.startup.mode' = 'oldest' is not one of earliest-offset, latest-offset, timestamp\n\
         where reading starts"
    );
    assert_eq!(
        refused(Use::Read, &[("connector", "datagen"), ("format", "json")]),
        "error[E504]: table `t`: the `datagen` connector takes no 'format'\nremove the option"
    );
}

#[test]
fn options_of_keys_and_values_have_prefixes() {
    let kafka = [("connector", "kafka"), ("value.format", "json"), ("key.format", "csv"), ("properties.x", "y")];
    let with = |pairs: &[(&'static str, &'static str)]| [&kafka[..], pairs].concat();
    let table = options(&with(&[("value.json.ignore-parse-errors", "true"), ("key.csv.field-delimiter", "|")]));
    let checked = Options::check("t", &table, Use::Read).expect("the options are right");
    assert_eq!((checked.format(), checked.key_format()), (Some("json"), Some("csv")));
    assert!(checked.flag("json.ignore-parse-errors"));
    let of_keys = checked.of_keys("csv");
    assert_eq!((of_keys.format(), of_keys.text("csv.field-delimiter")), (Some("csv"), Some("|")));
    assert!(refused(Use::Read, &with(&[("key.json.x", "1")])).contains("E501"));
    assert!(refused(Use::Read, &with(&[("format", "json")])).contains("'format' and 'value.format' are both given"));
    assert!(
        refused(Use::Read, &[("connector", "kafka"), ("format", "avro-confluent")]).contains("needs a schema registry")
    );
    assert!(
        refused(Use::Read, &[("connector", "kafka"), ("format", "json"), ("key.format", "debezium-json")])
            .contains("E504")
    );
    assert!(
        refused(Use::Read, &[("connector", "filesystem"), ("format", "json"), ("path", "x"), ("key.format", "json")])
            .contains("E501")
    );
}

#[test]
fn values_have_flinks_notations() {
    let table = options(&[
        ("connector", "filesystem"),
        ("format", "csv"),
        ("path", "x"),
        ("source.monitor-interval", "5min"),
        ("sink.rolling-policy.file-size", "64 mb"),
        ("csv.field-delimiter", "\\t"),
    ]);
    let checked = Options::check("t", &table, Use::Read).expect("the options are right");
    assert_eq!(checked.duration("source.monitor-interval").ok().flatten(), Some(Duration::from_secs(300)));
    assert_eq!(checked.bytes("sink.rolling-policy.file-size").ok().flatten(), Some(64 << 20));
    assert_eq!(checked.character("csv.field-delimiter").ok().flatten(), Some(b'\t'));
    assert_eq!(checked.text("sink.partition-commit.success-file.name"), Some("_SUCCESS"));
    assert_eq!(checked.stated("sink.partition-commit.success-file.name"), None);
}

#[test]
fn options_from_before_flink_1_11_are_understood() {
    let table = options(&[("connector.type", "filesystem"), ("connector.path", "x"), ("format.type", "csv")]);
    let checked = Options::check("t", &table, Use::Read).expect("the options are right");
    assert_eq!((checked.connector(), checked.format(), checked.text("path")), ("filesystem", Some("csv"), Some("x")));
}

#[test]
fn every_default_is_a_value_of_its_kind() {
    for connector in documentation() {
        let formats = connector.formats.iter().flat_map(|format| ConnectorDoc::format_options(format));
        for option in connector.options.iter().chain(formats).filter(|option| !option.default.is_empty()) {
            assert_eq!(option.kind.check(option.default), Ok(()), "{} of {}", option.name, connector.name);
        }
    }
}
