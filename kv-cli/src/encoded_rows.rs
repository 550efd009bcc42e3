//! Rows whose keys and values are in an encoding.

use crate::{
    encoding::Encoding,
    failure::Failure,
    format::{Row, RowError, Rows},
};

/// Decodes the keys and values of rows.
pub struct Encoded<R> {
    pub rows: R,
    pub encoding: Encoding,
}

impl<R: Rows> Rows for Encoded<R> {
    fn next(&mut self) -> Result<Option<Row>, RowError> {
        let Some(Row { line, key, value }) = self.rows.next()? else { return Ok(None) };
        let decoded = |what, text: &[u8]| {
            let refused = |failure: Failure| RowError::refused(line, failure.line().unwrap_or_default());
            self.encoding.decode(what, text).map_err(refused)
        };
        Row::checked(line, decoded("key", &key)?, decoded("value", &value)?).map(Some)
    }
}
