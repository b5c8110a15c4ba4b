//! `acl`: who may do what.

use fleuve_base::{Error, Result};
use fleuve_connect::kafka::client::{Acl, AclFilter};
use serde_json::{Value, json};

use super::target::client;
use crate::args::{AclCommand, AclRule};
use crate::output::{listing, say};

/// The name of the cluster among Kafka's resources.
const CLUSTER: &str = "kafka-cluster";

/// `fleuve acl …`
pub fn run(command: &AclCommand, as_json: bool) -> Result<()> {
    match command {
        AclCommand::List(rule) => {
            let acls = client(&rule.target)?.acls(&filter(rule))?;
            listing::print(&COLUMNS, acls.iter().map(row).collect(), as_json)
        }
        AclCommand::Add(rule) => {
            let acl = stated(rule)?;
            client(&rule.target)?.add_acl(&acl)?;
            listing::print(&COLUMNS, vec![row(&acl)], as_json)
        }
        AclCommand::Delete(rule) => {
            let filter = filter(rule);
            if filter.resource.is_none() && filter.principal.is_none() {
                return Err(Error::input("E019", "this would delete the rules of everyone")
                    .with_hint("name whose with --principal, or of what with --topic, --group or --cluster"));
            }
            let count = client(&rule.target)?.delete_acls(&filter)?;
            say(format!("{count} rules deleted\n"))?;
            Ok(())
        }
    }
}

const COLUMNS: [&str; 7] = ["principal", "permission", "operation", "resource", "name", "prefixed", "host"];

fn row(acl: &Acl) -> Vec<Value> {
    vec![
        json!(acl.principal),
        json!(if acl.allow { "ALLOW" } else { "DENY" }),
        json!(acl.operation),
        json!(acl.resource),
        json!(acl.name),
        json!(acl.prefixed),
        json!(acl.host),
    ]
}

/// The kind and the name of what a rule is about.
fn resource(rule: &AclRule) -> Option<(&'static str, String)> {
    let named = |kind, name: &Option<String>| name.clone().map(|name| (kind, name));
    named("TOPIC", &rule.topic)
        .or_else(|| named("GROUP", &rule.group))
        .or_else(|| named("TRANSACTIONAL_ID", &rule.transactional_id))
        .or_else(|| rule.cluster.then(|| ("CLUSTER", CLUSTER.to_owned())))
}

fn filter(rule: &AclRule) -> AclFilter {
    let (kind, name) = resource(rule).unzip();
    AclFilter {
        resource: kind.map(str::to_owned),
        name,
        principal: rule.principal.clone(),
        operation: rule.operation.clone(),
    }
}

fn stated(rule: &AclRule) -> Result<Acl> {
    let missing =
        |what: &str, hint: &str| Error::input("E019", format!("the rule does not say {what}")).with_hint(hint);
    let principal = rule.principal.clone().ok_or_else(|| missing("whom it is about", "--principal User:alice"))?;
    let operation = rule.operation.as_deref().ok_or_else(|| missing("what may be done", "--operation read"))?;
    let (kind, name) = resource(rule).ok_or_else(|| missing("of what", "--topic NAME, --group NAME or --cluster"))?;
    Ok(Acl {
        principal,
        host: rule.host.clone(),
        operation: Acl::operation(operation)?,
        allow: !rule.deny,
        resource: kind,
        name,
        prefixed: rule.prefixed,
    })
}
