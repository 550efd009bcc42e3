use std::io;

use serde::{Serialize, de::DeserializeOwned};

use super::{Error, Result};

/// How values are written as bytes. It is a type that is never made, such as [`Json`].
///
/// ```
/// use std::io;
/// use kv_store::typed::{Codec, Error};
/// use serde::{Serialize, de::DeserializeOwned};
///
/// /// JSON for people: one member a line.
/// enum Pretty {}
///
/// impl Codec for Pretty {
///     fn encode<V: Serialize>(value: &V) -> Result<Vec<u8>, Error> {
///         serde_json::to_vec_pretty(value).map_err(|error| Error::Encode(error.into()))
///     }
///
///     fn decode<V: DeserializeOwned>(bytes: &[u8]) -> io::Result<V> {
///         Ok(serde_json::from_slice(bytes)?)
///     }
/// }
/// ```
pub trait Codec {
    /// The bytes of a value.
    ///
    /// # Errors
    /// [`Error::Encode`].
    fn encode<V: Serialize>(value: &V) -> Result<Vec<u8>>;

    /// The value with these bytes.
    ///
    /// # Errors
    /// The bytes are not the encoding of such a value.
    fn decode<V: DeserializeOwned>(bytes: &[u8]) -> io::Result<V>;
}

/// Values in JSON, by the crate `serde_json`.
#[derive(Debug)]
pub enum Json {}

impl Codec for Json {
    fn encode<V: Serialize>(value: &V) -> Result<Vec<u8>> {
        serde_json::to_vec(value).map_err(|error| Error::Encode(error.into()))
    }

    fn decode<V: DeserializeOwned>(bytes: &[u8]) -> io::Result<V> {
        Ok(serde_json::from_slice(bytes)?)
    }
}
