//! Why a request, or a part of one, was not done, in the protocol's terms.

use fleuve_base::Error;
use fleuve_wire::ErrorCode;

/// An error code, with a sentence for those versions that carry one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: ErrorCode,
    pub(crate) message: Option<String>,
}

/// What can fail in the protocol's terms.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    /// A code and what exactly is wrong.
    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Failure { code, message: Some(message.into()) }
    }
}

impl From<ErrorCode> for Failure {
    fn from(code: ErrorCode) -> Self {
        Failure { code, message: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = error_code(&error);
        if code == ErrorCode::UNKNOWN_SERVER_ERROR {
            tracing::error!(%error, "a request failed in a way that it cannot");
        }
        Failure::new(code, error.message())
    }
}

/// The protocol's code for an error of the log.
pub(crate) fn error_code(error: &Error) -> ErrorCode {
    match error.code() {
        "E703" => ErrorCode::INVALID_TOPIC_EXCEPTION,
        "E704" => ErrorCode::TOPIC_ALREADY_EXISTS,
        "E705" => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        "E706" => ErrorCode::OFFSET_OUT_OF_RANGE,
        "E707" | "E711" | "E901" | "E902" | "E905" => ErrorCode::KAFKA_STORAGE_ERROR,
        "E708" => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        "E709" => ErrorCode::INVALID_PRODUCER_EPOCH,
        "E710" => ErrorCode::POLICY_VIOLATION,
        "E712" => ErrorCode::INVALID_CONFIG,
        "E715" => ErrorCode::MESSAGE_TOO_LARGE,
        "E716" => ErrorCode::POLICY_VIOLATION,
        "E717" => ErrorCode::INVALID_TXN_STATE,
        "E713" => ErrorCode::INVALID_RECORD,
        _ => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}
