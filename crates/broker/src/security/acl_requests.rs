//! DescribeAcls, CreateAcls, DeleteAcls.

use std::collections::BTreeMap;

use fleuve_wire::ErrorCode;
use fleuve_wire::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use fleuve_wire::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use fleuve_wire::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use fleuve_wire::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsResponse};
use fleuve_wire::messages::describe_acls_request::DescribeAclsRequest;
use fleuve_wire::messages::describe_acls_response::{AclDescription, DescribeAclsResource, DescribeAclsResponse};

use super::acl::{ACLS_MAX, AclBinding, AclFilter, Operation, PatternFilter, PatternType, Permission, ResourceType};
use super::authorizer::Resource;
use super::store::Stored;
use crate::broker::{Broker, Responder};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Number of "any" in filters of resource types, pattern types, operations and permissions.
const ANY: i8 = 1;

/// Number of [`PatternFilter::Match`].
const MATCH: i8 = 2;

impl Broker {
    pub(crate) fn describe_acls(&self, session: &Session, request: DescribeAclsRequest) -> DescribeAclsResponse {
        let described = self.check_cluster(session, Operation::Describe).and_then(|()| {
            let DescribeAclsRequest { resource_type_filter, resource_name_filter, pattern_type_filter, .. } = request;
            let pattern = (resource_type_filter, pattern_type_filter, resource_name_filter);
            let entry = (request.principal_filter, request.host_filter, request.operation, request.permission_type);
            filter(pattern, entry)
        });
        match described {
            Err(Failure { code, message }) => {
                DescribeAclsResponse { error_code: code.0, error_message: message, ..Default::default() }
            }
            Ok(filter) => DescribeAclsResponse { resources: self.matching_resources(&filter), ..Default::default() },
        }
    }

    fn matching_resources(&self, filter: &AclFilter) -> Vec<DescribeAclsResource> {
        let mut resources: BTreeMap<(ResourceType, PatternType, String), Vec<AclDescription>> = BTreeMap::new();
        for acl in self.authorizer.acls.read().bindings().filter(|acl| filter.matches(acl)) {
            let acls = resources.entry((acl.resource_type, acl.pattern_type, acl.name.clone())).or_default();
            acls.push(AclDescription {
                principal: acl.principal.clone(),
                host: acl.host.clone(),
                operation: acl.operation.code(),
                permission_type: acl.permission.code(),
            });
        }
        let resource = |((resource_type, pattern_type, resource_name), acls): (_, Vec<AclDescription>)| {
            let (resource_type, pattern_type) = (ResourceType::code(resource_type), PatternType::code(pattern_type));
            DescribeAclsResource { resource_type, resource_name, pattern_type, acls }
        };
        resources.into_iter().map(resource).collect()
    }

    /// Rules hold, durably, when this is answered.
    pub(crate) fn create_acls(&self, session: &Session, request: CreateAclsRequest, respond: Responder) {
        let allowed = self.check_cluster(session, Operation::Alter);
        let checked = request.creations.into_iter().map(|creation| allowed.clone().and_then(|()| binding(creation)));
        let mut checked: Vec<Outcome<AclBinding>> = checked.collect();
        self.refuse_too_many(&mut checked);
        let changes: Vec<_> = checked.iter().flatten().cloned().map(|acl| Stored::Acl { acl, there: true }).collect();
        self.security.change(
            changes,
            Box::new(move |outcome| {
                let stored = outcome.map_err(Failure::from);
                let result = |checked: Outcome<AclBinding>| match checked.and_then(|_| stored.clone()) {
                    Ok(()) => AclCreationResult::default(),
                    Err(Failure { code, message }) => AclCreationResult { error_code: code.0, error_message: message },
                };
                let results = checked.into_iter().map(result).collect();
                respond(CreateAclsResponse { results, ..Default::default() }.into());
            }),
        );
    }

    fn refuse_too_many(&self, checked: &mut [Outcome<AclBinding>]) {
        let acls = self.authorizer.acls.read();
        let mut room = ACLS_MAX.saturating_sub(acls.len());
        for outcome in checked {
            let is_new = outcome.as_ref().is_ok_and(|acl| !acls.contains(acl));
            match (is_new, room) {
                (true, 0) => {
                    let message = format!("there are {ACLS_MAX} access rules, which is the limit");
                    *outcome = Err(Failure::new(ErrorCode::POLICY_VIOLATION, message));
                }
                (true, _) => room -= 1,
                _ => {}
            }
        }
    }

    /// Rules are gone, durably, when this is answered.
    pub(crate) fn delete_acls(&self, session: &Session, request: DeleteAclsRequest, respond: Responder) {
        let allowed = self.check_cluster(session, Operation::Alter);
        let filters = request.filters.into_iter();
        let filters: Vec<Outcome<AclFilter>> =
            filters.map(|filter| allowed.clone().and_then(|()| delete_filter(filter))).collect();
        let matching = |filter: &AclFilter| -> Vec<AclBinding> {
            self.authorizer.acls.read().bindings().filter(|acl| filter.matches(acl)).cloned().collect()
        };
        let matched: Vec<Outcome<Vec<AclBinding>>> =
            filters.into_iter().map(|filter| filter.map(|filter| matching(&filter))).collect();
        let gone = matched.iter().flatten().flatten().cloned();
        let changes = gone.map(|acl| Stored::Acl { acl, there: false }).collect();
        self.security.change(
            changes,
            Box::new(move |outcome| {
                let stored = outcome.map_err(Failure::from);
                let results =
                    matched.into_iter().map(|matched| deleted(matched.and_then(|m| stored.clone().map(|()| m))));
                respond(DeleteAclsResponse { filter_results: results.collect(), ..Default::default() }.into());
            }),
        );
    }

    /// Whether the session may do this to the cluster.
    pub(super) fn check_cluster(&self, session: &Session, operation: Operation) -> Outcome<()> {
        match self.allows(session, operation, Resource::Cluster) {
            true => Ok(()),
            false => Err(ErrorCode::CLUSTER_AUTHORIZATION_FAILED.into()),
        }
    }
}

fn deleted(outcome: Outcome<Vec<AclBinding>>) -> DeleteAclsFilterResult {
    let matching = |acl: AclBinding| DeleteAclsMatchingAcl {
        resource_type: acl.resource_type.code(),
        resource_name: acl.name,
        pattern_type: acl.pattern_type.code(),
        principal: acl.principal,
        host: acl.host,
        operation: acl.operation.code(),
        permission_type: acl.permission.code(),
        ..Default::default()
    };
    match outcome {
        Ok(acls) => {
            DeleteAclsFilterResult { matching_acls: acls.into_iter().map(matching).collect(), ..Default::default() }
        }
        Err(Failure { code, message }) => {
            DeleteAclsFilterResult { error_code: code.0, error_message: message, ..Default::default() }
        }
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure::new(ErrorCode::INVALID_REQUEST, message)
}

fn binding(creation: AclCreation) -> Outcome<AclBinding> {
    let unknown = |what: &str, code: i8| invalid(format!("a rule cannot have the {what} {code}"));
    let AclCreation { resource_type, resource_pattern_type, operation, permission_type, .. } = creation;
    let acl = AclBinding {
        resource_type: ResourceType::from_code(resource_type).ok_or_else(|| unknown("resource type", resource_type))?,
        pattern_type: PatternType::from_code(resource_pattern_type)
            .ok_or_else(|| unknown("pattern type", resource_pattern_type))?,
        operation: Operation::from_code(operation).ok_or_else(|| unknown("operation", operation))?,
        permission: Permission::from_code(permission_type).ok_or_else(|| unknown("permission", permission_type))?,
        name: creation.resource_name,
        principal: creation.principal,
        host: creation.host,
    };
    acl.check().map_err(invalid)?;
    Ok(acl)
}

fn delete_filter(asked: DeleteAclsFilter) -> Outcome<AclFilter> {
    let pattern = (asked.resource_type_filter, asked.pattern_type_filter, asked.resource_name_filter);
    filter(pattern, (asked.principal_filter, asked.host_filter, asked.operation, asked.permission_type))
}

/// A filter from its numbers: type, pattern and name; principal, host, operation and permission.
fn filter(
    (resource_type, pattern_type, name): (i8, i8, Option<String>),
    (principal, host, operation, permission): (Option<String>, Option<String>, i8, i8),
) -> Outcome<AclFilter> {
    let pattern = match pattern_type {
        ANY => PatternFilter::Any,
        MATCH => PatternFilter::Match,
        code => PatternFilter::Exactly(PatternType::from_code(code).ok_or_else(|| unknown_filter("pattern type"))?),
    };
    Ok(AclFilter {
        resource_type: any_or(resource_type, ResourceType::from_code, "resource type")?,
        pattern,
        name,
        principal,
        host,
        operation: any_or(operation, Operation::from_code, "operation")?,
        permission: any_or(permission, Permission::from_code, "permission")?,
    })
}

fn any_or<T>(code: i8, from_code: impl Fn(i8) -> Option<T>, what: &str) -> Outcome<Option<T>> {
    match code {
        ANY => Ok(None),
        code => from_code(code).map(Some).ok_or_else(|| unknown_filter(what)),
    }
}

fn unknown_filter(what: &str) -> Failure {
    invalid(format!("the filter has an unknown {what}"))
}
