//! The registry of error codes: what `fleuve help E012` says.
//!
//! A code is stable: it is never given another meaning. The first digit tells the area: 0 the text and meaning of SQL,
//! 1 (with `W`) warnings, 2 what is not in this build, 3 values and pipelines at run time, 4 formats, state and the command
//! line, 5 connectors, 7 the log, 9 the machine and bugs.
//!
//! ```
//! let code = fleuve_base::codes::find("e012").expect("a known code");
//! assert_eq!(code.title, "unknown column");
//! ```

/// One code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `E` or `W` and three digits.
    pub code: &'static str,
    /// What it is, in a few words.
    pub title: &'static str,
    /// What it means and what to do, for a person.
    pub explanation: &'static str,
}

/// The code of this name, in any case.
pub fn find(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|entry| entry.code.eq_ignore_ascii_case(code))
}

const fn code(code: &'static str, title: &'static str, explanation: &'static str) -> Code {
    Code { code, title, explanation }
}

/// All codes, in order.
pub const CODES: &[Code] = &[
    code(
        "E001",
        "syntax error",
        "The script does not have the form of a statement at the marked place. The message says what could stand there. \
         Names that are keywords go into backquotes (`end`), strings into single quotes.",
    ),
    code(
        "E002",
        "something is not closed",
        "A string, a backquoted name or a comment begins at the marked place and does not end. A quote inside a string is doubled: 'it''s'.",
    ),
    code(
        "E003",
        "the script is too large or too deeply nested",
        "Nesting, chains of operators, and the script's length are bounded, so that no script exhausts the planner. \
         Split the statement with WITH or CREATE VIEW; use IN (…) instead of a long chain of OR.",
    ),
    code(
        "E010",
        "unknown table or view",
        "No table or view of this name is declared before its use in this script. Names are case-sensitive.",
    ),
    code(
        "E011",
        "unknown function",
        "Neither the built-in functions nor the session's own have this name. `fleuve help functions` lists them; CREATE FUNCTION … LANGUAGE SQL adds one.",
    ),
    code("E012", "unknown column", "No table in the FROM clause has a column of this name. Names are case-sensitive."),
    code(
        "E013",
        "ambiguous column",
        "Two columns have this name. Write the table before it (t.id), or rename one with AS.",
    ),
    code(
        "E014",
        "unknown type",
        "This is no type of the dialect, or its precision is out of range. Types: BOOLEAN, TINYINT, SMALLINT, INT, BIGINT, FLOAT, DOUBLE, \
         DECIMAL(p, s), STRING, BYTES, DATE, TIME, TIMESTAMP(p), TIMESTAMP_LTZ(p), ROW<…>, ARRAY<…>, MAP<…>.",
    ),
    code(
        "E015",
        "already exists",
        "A table, view or function of this name is declared already. DROP it first, or write IF NOT EXISTS, or CREATE OR REPLACE VIEW.",
    ),
    code(
        "E016",
        "wrong declaration",
        "A CREATE statement contradicts itself: a column declared twice, a second primary key, a key over a column that is not stored.",
    ),
    code("E017", "wrong table option", "An option in WITH (…) is given twice or cannot be used."),
    code("E018", "unknown setting", "SET knows no setting of this name. `fleuve help settings` lists them."),
    code(
        "E019",
        "wrong value of a setting",
        "The setting exists, but not this value of it. `fleuve help settings` tells what it takes.",
    ),
    code(
        "E020",
        "types do not fit",
        "An operator, a function or a column cannot take a value of this type. Convert it: CAST(x AS type), or TRY_CAST, which gives NULL where it cannot.",
    ),
    code(
        "E021",
        "wrong number of columns or arguments",
        "A query gives another number of columns than its table takes, or a function has another number of arguments.",
    ),
    code(
        "E022",
        "the query makes no sense",
        "Each part is understood, but they do not go together: an aggregate in WHERE, a column that is neither grouped nor aggregated, a view as the target of INSERT.",
    ),
    code(
        "E023",
        "no time attribute",
        "Windows and watermarks need a TIMESTAMP column with a WATERMARK in its table, or PROCTIME(), passed on unchanged to where it is used.",
    ),
    code(
        "E024",
        "the sink cannot take these changes",
        "The query's result changes over time, and this table can only be added to. Give the table a PRIMARY KEY, write to a format that holds changes, \
         or aggregate in windows, whose results are final.",
    ),
    code("E025", "wrong constant", "A constant cannot be evaluated, or is out of range for where it stands."),
    code(
        "E026",
        "no index",
        "What is asked for is read from an index, and there is none on this table or column, or it has not been built: CREATE INDEX i ON t (c).",
    ),
    code(
        "E027",
        "the table has an index",
        "A table cannot be dropped while the session has an index over it. DROP INDEX first.",
    ),
    code("E090", "too many operators", "The pipeline would have more operators than one may. Split the statement set."),
    code(
        "W103",
        "state that grows without bound",
        "An operator keeps something for every new key and never lets it go. Add a window, a time bound to the join, or SET 'table.exec.state.ttl'.",
    ),
    code("E201", "not in this build", "Flink has this, this build does not. The hint names what comes closest."),
    code(
        "E202",
        "not for this type or language",
        "Functions in Java, Scala or Python are not in this build: write them in SQL with CREATE FUNCTION … LANGUAGE SQL. Or: a function does not exist for this type.",
    ),
    code(
        "E203",
        "statement not in this build",
        "Flink has this statement, this build does not. The hint names what comes closest.",
    ),
    code(
        "E204",
        "impossible windows",
        "The size of a window must be a positive multiple of its slide, and a row may fall into a limited number of windows only.",
    ),
    code(
        "E205",
        "a session without an aggregate",
        "Rows of SESSION windows cannot be had one by one: group by window_start and window_end in the same query.",
    ),
    code(
        "E206",
        "a summary over updates",
        "The aggregate cannot take a row back, and its input may retract rows. Summarise an append-only stream, or use an aggregate that can: COUNT(DISTINCT x), AMS_F2, running statistics.",
    ),
    code("E210", "operator not in this build", "The plan asks for an operator that this build cannot run."),
    code(
        "E301",
        "division by zero",
        "A row divides by zero. Guard it: CASE WHEN d <> 0 THEN n / d END, or n / NULLIF(d, 0).",
    ),
    code("E302", "overflow", "A result does not fit into its type. Cast the operands to a wider one."),
    code(
        "E303",
        "a value cannot be converted",
        "A CAST met a value that has no equivalent in its type. TRY_CAST gives NULL instead.",
    ),
    code("E304", "wrong argument of a function", "A function was called with a value or a type that it cannot take."),
    code("E305", "computation not in this build", "A function or a conversion does not exist for these types."),
    code(
        "E306",
        "a stored plan names an unknown function",
        "The plan was made by another build. Stop the pipeline cleanly with that build, then start it with this one.",
    ),
    code("E307", "a computed value is too large", "A string or an expression is over its limit."),
    code("E308", "wrong pattern", "A regular expression or a date pattern is malformed or uses what is not supported."),
    code("E309", "wrong path or part", "A JSON path or the name of a URL's part is not valid."),
    code(
        "E310",
        "unknown time zone, or a limit of an operator",
        "The time zone does not exist; or an operator's state is over its limit, which the message names.",
    ),
    code(
        "E312",
        "NULL for a NOT NULL column",
        "A query yields NULL for a column of its table that is NOT NULL. Filter such rows.",
    ),
    code("E311", "a limit of a pipeline", "A pipeline has reached one of its limits; the message names it."),
    code(
        "E401",
        "the pipeline has changed",
        "A pipeline of this name has been stored with another plan. Give the new one another pipeline.name, or remove the old one.",
    ),
    code("E402", "no data directory", "The command needs a data directory and finds none. Name it with --data DIR."),
    code("E403", "no such pipeline", "The data directory holds no pipeline of this name."),
    code("E404", "nothing is known about this", "There is no help on this word."),
    code("E405", "out of reach", "The asked epoch is not kept any more, or not yet there."),
    code(
        "E406",
        "nothing to learn from",
        "The file is empty, so its columns cannot be found out. Declare them with CREATE TABLE.",
    ),
    code(
        "E407",
        "the pipeline is running",
        "What was asked for needs the pipeline to be stopped, and it runs or has not stopped in time. `fleuve job stop NAME` stops it.",
    ),
    code(
        "E408",
        "the index has changed",
        "An index of this name is stored that is over another table, other columns, or the table as it was declared before. DROP INDEX \
         deletes it; CREATE INDEX then builds it anew.",
    ),
    code(
        "E410",
        "a record cannot be read",
        "A line or a record is not what its format promises, or lacks what was asked of it.",
    ),
    code("E411", "a column is missing in the data", "The file has no such column or field."),
    code("E412", "too many columns", "A row has more columns and fields than a decoder holds."),
    code("E413", "a batch is too large", "The texts of one batch are over their limit."),
    code("E414", "a type cannot be written", "The format has no way to hold a column of this type."),
    code("E415", "wrong Parquet file", "The file is not valid Parquet, or is damaged."),
    code("E416", "unknown compression", "The format knows no compression of this name."),
    code(
        "E417",
        "this is not JSON",
        "The columns of the file cannot be found out, because it is not JSON with one object a line.",
    ),
    code("E418", "this is not CSV", "The columns of the file cannot be found out, because it is not CSV."),
    code("E419", "wrong Avro schema", "The schema is not valid, or cannot give the columns of the table."),
    code("E430", "this cannot be a key", "Values of this type cannot be grouped or joined by."),
    code("E431", "a key is nested too deeply", "Types of keys may be nested to a limit only."),
    code("E432", "a key or a value is too large", "A key has too many columns, or a value cannot be printed."),
    code(
        "E440",
        "an aggregate overflows",
        "The result of an aggregate does not fit into its type. Cast the argument to a wider one.",
    ),
    code(
        "E500",
        "unknown connector",
        "No connector of this build has this name, or it cannot read or write as asked. `fleuve help connectors` lists them.",
    ),
    code(
        "E501",
        "unknown option",
        "The table's connector has no such option. `fleuve help connector NAME` lists them.",
    ),
    code("E502", "wrong value of an option", "The option exists, but not this value of it."),
    code("E503", "missing option", "The table's connector or format needs an option that is not given."),
    code("E504", "wrong format", "The connector does not take this format."),
    code("E505", "unknown metadata", "The connector has no such metadata, or it cannot have this type."),
    code(
        "E506",
        "files cannot be found",
        "The path does not exist, is not local, or holds more files than one table may.",
    ),
    code(
        "E507",
        "what was read is gone",
        "A file that has been read in part was cut, replaced or removed, or a topic lost records that were read, \
         so its reading cannot go on or be repeated.",
    ),
    code(
        "E508",
        "changes cannot be read or written here",
        "This table cannot hold changes of rows, or cannot be read as such.",
    ),
    code("E509", "no such topic", "The topic does not exist, or there is no data directory to hold it."),
    code("E510", "a source cannot be opened", "Standard input is read twice, or a peer does not answer."),
    code("E511", "wrong partitioning", "A table cannot be partitioned by this column."),
    code(
        "E512",
        "a line is too long",
        "A line or a record is longer than its limit. Such a file is often not text with one record a line.",
    ),
    code(
        "E513",
        "a group has committed no offset",
        "Reading was to go on where a consumer group is, and the group has no place in a partition. \
         'properties.auto.offset.reset' says what to do then; 'scan.startup.mode' names another start.",
    ),
    code(
        "E514",
        "Kafka cannot be reached",
        "No broker answers under the given addresses, or the connection broke off. Addresses are host:port, separated by commas; \
         a broker must also be reachable under the address that it advertises.",
    ),
    code(
        "E515",
        "Kafka refused",
        "A broker answered a request with an error. The message names the request and Kafka's error.",
    ),
    code(
        "E601",
        "the address is taken",
        "Another program listens there already. Stop it, or choose another port; port 0 takes a free one.",
    ),
    code("E602", "wrong address", "An address to listen on is HOST:PORT, and the host must be known on this machine."),
    code(
        "E603",
        "not safe beyond this machine",
        "A listener that others can reach needs encryption and authentication. Set listener.NAME.certificate and .key, and .sasl or .client-ca; \
         or listen on 127.0.0.1; or say listener.NAME.insecure = true, if nobody but friends can reach the port.",
    ),
    code(
        "E604",
        "certificates cannot be used",
        "A PEM file of the TLS settings is missing, holds something else, or does not belong to the others.",
    ),
    code("E605", "unknown setting of the server", "`fleuve config show` lists all settings."),
    code("E606", "wrong value of a setting of the server", "The setting exists, but not this value of it."),
    code("E607", "the configuration cannot be read", "The file is not TOML, or far too large."),
    code(
        "E701",
        "the data directory is in use",
        "Another process holds it. Stop that one, or choose another directory.",
    ),
    code(
        "E702",
        "unknown format of the data directory",
        "It was written by a build that this one does not know. Nothing was changed.",
    ),
    code("E703", "wrong name of a topic", "A name has 1 to 249 ASCII letters, digits, `.`, `_` or `-`."),
    code("E704", "the topic exists already", "Choose another name."),
    code("E705", "no such topic or partition", "The log holds no topic or partition of that name."),
    code("E706", "offset out of range", "The offset lies outside what the partition holds."),
    code(
        "E707",
        "the log stopped",
        "After a failed write or sync nothing is acknowledged any more. Look after the disk, then restart: the log recovers by itself.",
    ),
    code("E708", "wrong sequence number", "An idempotent producer's sequence number has a gap, or is too old to tell."),
    code("E709", "producer fenced off", "A producer with a newer epoch has taken over."),
    code("E710", "over a limit of the log", "A record, a batch, an epoch or a count is over its limit."),
    code("E711", "the log is closed", "It was closed while something still used it."),
    code("E712", "wrong setting of a topic", "A topic's setting has a value that cannot be used."),
    code("E713", "wrong record batch", "A record batch breaks a rule of the log."),
    code("E714", "coordinator fenced off", "A coordinator with a newer epoch has ended transactions of this producer."),
    code("E715", "record batch too large", "The topic's settings do not allow batches of this size."),
    code("E716", "records are pinned", "Records cannot be deleted while a reader is known to need them."),
    code(
        "E717",
        "record batch outside the transaction",
        "A producer that has a transaction open writes records that are not part of it.",
    ),
    code(
        "E720",
        "not Kafka's protocol",
        "A peer sent bytes that are not a message of Kafka's protocol, or an API or version that is not served here.",
    ),
    code(
        "E721",
        "not in this version of the protocol",
        "A message has a value that the version agreed with the peer cannot express, or is too long to be sent.",
    ),
    code("E722", "wrong id", "An id, such as a topic's, is 22 characters: letters, digits, `-` and `_`."),
    code(
        "E901",
        "stored data is damaged",
        "Bytes are not what was written. Nothing of it is served. Restore the directory, or remove what is damaged.",
    ),
    code(
        "E902",
        "the operating system refused",
        "A file or a connection could not be used; the message says which and why.",
    ),
    code(
        "E903",
        "a column or an output is gone or full",
        "A column of one batch holds more than it may, or the output was closed.",
    ),
    code(
        "E904",
        "state is full",
        "The state of an operator is at its limit. Bound it by time, or run it on more workers.",
    ),
    code(
        "E905",
        "the disk is full",
        "A file could not be written for want of room. What was stored before is not touched; make room, and writing goes on without a restart.",
    ),
    code(
        "E999",
        "a bug in Fleuve",
        "An invariant that the code relies on does not hold. Please report it with the script and the message.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_well_formed() {
        for (index, entry) in CODES.iter().enumerate() {
            assert!(CODES[..index].iter().all(|other| other.code != entry.code), "{} is there twice", entry.code);
            let digits = entry.code.strip_prefix(['E', 'W']).unwrap_or("");
            assert!(digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", entry.code);
            assert!(!entry.title.is_empty() && entry.explanation.ends_with('.'), "{}", entry.code);
        }
    }

    #[test]
    fn an_unknown_code_is_not_found() {
        assert_eq!(find("E000"), None);
        assert_eq!(find("SELECT"), None);
    }
}
