//! The words of an access rule, with Kafka's numbers: resource types, pattern types, operations, permissions.

/// Declares an enum whose variants have numbers in Kafka's protocol.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $code:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i8)]
        pub enum $name { $($(#[$variant_doc])* $variant = $code,)* }

        impl $name {
            /// All of them, by number.
            pub const ALL: &[$name] = &[$($name::$variant,)*];

            /// The number in Kafka's protocol.
            pub fn code(self) -> i8 {
                self as i8
            }

            /// The one with that number.
            pub fn from_code(code: i8) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.code() == code)
            }
        }
    };
}

numbered! {
    /// What a rule is about.
    ResourceType {
        /// A topic, by name.
        Topic = 2,
        /// A consumer group, by its id.
        Group = 3,
        /// The cluster; its only name is [`CLUSTER_NAME`].
        Cluster = 4,
        /// A transactional id.
        TransactionalId = 5,
        /// A delegation token. No request here touches one, but its rules can be stored.
        DelegationToken = 6,
        /// A user whose tokens are managed; as above.
        User = 7,
    }
}

numbered! {
    /// How a rule's name is compared with a resource's.
    PatternType {
        /// Equal; or the rule's name is `*`, which is every resource.
        Literal = 3,
        /// The resource's name begins with the rule's.
        Prefixed = 4,
    }
}

numbered! {
    /// What is done to a resource.
    Operation {
        /// Every operation.
        All = 2,
        /// Fetch; join a group.
        Read = 3,
        /// Produce.
        Write = 4,
        /// Create a topic.
        Create = 5,
        /// Delete.
        Delete = 6,
        /// Change.
        Alter = 7,
        /// Know that it exists, and look at it.
        Describe = 8,
        /// What brokers do among themselves.
        ClusterAction = 9,
        /// Read settings.
        DescribeConfigs = 10,
        /// Change settings.
        AlterConfigs = 11,
        /// Produce with a producer id.
        IdempotentWrite = 12,
        /// Create delegation tokens.
        CreateTokens = 13,
        /// Look at delegation tokens.
        DescribeTokens = 14,
        /// Prepare a transaction that another coordinator decides.
        TwoPhaseCommit = 15,
    }
}

numbered! {
    /// What a rule says.
    Permission {
        /// No, whatever other rules say.
        Deny = 2,
        /// Yes, unless another rule denies.
        Allow = 3,
    }
}

/// The name of the one resource of type [`ResourceType::Cluster`].
pub const CLUSTER_NAME: &str = "kafka-cluster";

/// The name or principal that stands for all.
pub const WILDCARD: &str = "*";

/// The principal that stands for all users.
pub const EVERYONE: &str = "User:*";

impl ResourceType {
    /// The operations that there are on such a resource.
    pub fn operations(self) -> &'static [Operation] {
        use Operation::*;
        match self {
            ResourceType::Topic => &[Read, Write, Create, Describe, Delete, Alter, DescribeConfigs, AlterConfigs],
            ResourceType::Group => &[Read, Describe, Delete, DescribeConfigs, AlterConfigs],
            ResourceType::Cluster => {
                &[Create, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite, Alter, Describe]
            }
            ResourceType::TransactionalId => &[Describe, Write, TwoPhaseCommit],
            ResourceType::DelegationToken => &[Describe],
            ResourceType::User => &[CreateTokens, DescribeTokens],
        }
    }
}

impl Operation {
    /// Whether being allowed to do `self` includes `asked`.
    pub(super) fn allows(self, asked: Operation) -> bool {
        use Operation::*;
        self.covers(asked)
            || match asked {
                Describe => matches!(self, Read | Write | Delete | Alter),
                DescribeConfigs => self == AlterConfigs,
                _ => false,
            }
    }

    /// Whether a rule on `self` speaks of `asked` itself.
    pub(super) fn covers(self, asked: Operation) -> bool {
        self == Operation::All || self == asked
    }
}
