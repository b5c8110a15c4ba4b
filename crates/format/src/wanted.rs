//! What is to be decoded.

use arrow::datatypes::{DataType, Field};

/// A column wanted from every record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Name of the column in the batch.
    pub name: String,
    /// Where it stands in the record, from the outermost object inwards: `["bid", "price"]` gives a flat column,
    /// `["bid"]` with a struct type the whole row.
    pub path: Vec<String>,
    /// Its Arrow type.
    pub data_type: DataType,
    /// Whether it may be NULL. A missing field is NULL.
    pub nullable: bool,
}

impl Wanted {
    /// The top-level field of this name and type.
    pub fn column(field: &Field) -> Self {
        Wanted {
            name: field.name().clone(),
            path: vec![field.name().clone()],
            data_type: field.data_type().clone(),
            nullable: field.is_nullable(),
        }
    }

    /// A field within objects, as a flat column.
    pub fn path<'a>(name: &str, path: impl IntoIterator<Item = &'a str>, data_type: DataType) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        Wanted { name: name.to_owned(), path, data_type, nullable: true }
    }

    pub(crate) fn field(&self) -> Field {
        Field::new(&self.name, self.data_type.clone(), self.nullable)
    }
}
