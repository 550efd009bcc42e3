//! How a row gets its key.

use super::near_field;

/// Where the key of a row comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// The row is a key and a value.
    #[default]
    Pair,
    /// The row has fields with names. One or more of them are the key; the row is the value.
    Fields(KeyFields),
    /// The key is the number of the row, from 1; the row is the value.
    RowNumber,
}

/// The names of the fields that make a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFields {
    pub names: Vec<String>,
    /// What joins the values of several fields.
    pub joined_by: String,
}

impl KeyFields {
    /// The key that these values of the fields make.
    pub fn key(&self, values: &[impl AsRef<str>]) -> Result<String, String> {
        let Some((last, others)) = values.split_last() else { return Ok(String::new()) };
        let mut key = String::new();
        for (name, value) in self.names.iter().zip(others) {
            let value = value.as_ref();
            // Otherwise two rows with different fields could get the same key.
            if value.contains(&*self.joined_by) {
                let joined_by = &self.joined_by;
                return Err(format!(
                    "the field {name:?} contains {joined_by:?}, which joins the fields of a key; --join chooses another text"
                ));
            }
            key += value;
            key += &self.joined_by;
        }
        Ok(key + last.as_ref())
    }

    /// Why a row or a header without one of the fields is refused.
    pub fn missing<'n>(&self, what: &str, name: &str, there: impl Iterator<Item = &'n str> + Clone) -> String {
        format!("{what} has no field {name:?}, only {}{}", listed(there.clone()), near_field(name, there))
    }
}

/// The key of the row of this number. It has digits enough that the order of the keys is that of
/// the rows.
pub fn row_number(number: u64) -> Vec<u8> {
    format!("{number:012}").into_bytes()
}

/// The first names of fields, for a message.
fn listed<'n>(names: impl Iterator<Item = &'n str>) -> String {
    const NAMES_MAX: usize = 8;
    const CHARACTERS_MAX: usize = 40;
    let mut names = names.map(|name| format!("{:?}", name.chars().take(CHARACTERS_MAX).collect::<String>()));
    let shown: Vec<String> = names.by_ref().take(NAMES_MAX).collect();
    shown.join(", ") + if names.next().is_some() { ", …" } else { "" }
}
