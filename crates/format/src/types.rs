//! Arrow types under the names that SQL users know.

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::time::fraction_digits;

/// The SQL name of an Arrow type: `BIGINT`, `TIMESTAMP(3)`, `ROW<id BIGINT, name STRING>`.
///
/// ```
/// use arrow::datatypes::DataType;
/// assert_eq!(fleuve_format::sql_type(&DataType::Decimal128(10, 2)), "DECIMAL(10, 2)");
/// ```
pub fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "NULL".into(),
        DataType::Boolean => "BOOLEAN".into(),
        DataType::Int8 => "TINYINT".into(),
        DataType::Int16 => "SMALLINT".into(),
        DataType::Int32 => "INT".into(),
        DataType::Int64 => "BIGINT".into(),
        DataType::Float32 => "FLOAT".into(),
        DataType::Float64 => "DOUBLE".into(),
        DataType::Decimal128(precision, scale) => format!("DECIMAL({precision}, {scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "STRING".into(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "BYTES".into(),
        DataType::Date32 => "DATE".into(),
        DataType::Time32(unit) | DataType::Time64(unit) => sized("TIME", *unit),
        DataType::Timestamp(unit, None) => sized("TIMESTAMP", *unit),
        DataType::Timestamp(unit, Some(_)) => sized("TIMESTAMP_LTZ", *unit),
        DataType::List(item) | DataType::LargeList(item) => format!("ARRAY<{}>", sql_field_type(item)),
        DataType::Map(entries, _) => map_type(entries),
        DataType::Struct(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|f| format!("{} {}", quoted(f.name()), sql_field_type(f))).collect();
            format!("ROW<{}>", fields.join(", "))
        }
        other => other.to_string(),
    }
}

/// A name as a script must write it: in backquotes unless it is a plain word.
fn quoted(name: &str) -> String {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    if plain { name.to_owned() } else { format!("`{}`", name.replace('`', "``")) }
}

fn sql_field_type(field: &Field) -> String {
    let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
    format!("{}{not_null}", sql_type(field.data_type()))
}

fn sized(name: &str, unit: TimeUnit) -> String {
    format!("{name}({})", fraction_digits(unit))
}

fn map_type(entries: &Field) -> String {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => {
            format!("MAP<{}, {}>", sql_type(fields[0].data_type()), sql_type(fields[1].data_type()))
        }
        other => format!("MAP<{}>", sql_type(other)),
    }
}

/// The type with its article, for sentences: `a BIGINT`, `an INT`.
pub(crate) fn a_type(data_type: &DataType) -> String {
    let name = sql_type(data_type);
    let article = if name.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nested_types() {
        let row = DataType::Struct(
            vec![
                Field::new("id", DataType::Int64, false),
                Field::new("two words", DataType::new_list(DataType::Utf8, true), true),
                Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            ]
            .into(),
        );
        assert_eq!(sql_type(&row), "ROW<id BIGINT NOT NULL, `two words` ARRAY<STRING>, at TIMESTAMP_LTZ(6)>");
        assert_eq!(a_type(&DataType::Int32), "an INT");
        assert_eq!(a_type(&DataType::Date32), "a DATE");
    }
}
