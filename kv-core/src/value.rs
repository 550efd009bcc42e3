use std::{borrow::Borrow, fmt, ops::Deref, str::Utf8Error, string::FromUtf8Error};

use bytes::Bytes;

/// The bytes of a value or a key. It derefs to `[u8]`, and is cheap to clone.
///
/// What a store hands out is a copy if it has at most [`COPIED_BYTES_MAX`](Value::COPIED_BYTES_MAX)
/// bytes, so it may be kept for as long as you like. A longer one may be a handle that keeps the
/// file mapped in which it lies, even if that was removed;
/// [`Stats::removed_bytes`](crate::Stats::removed_bytes) shows it.
///
/// ```
/// use kv_core::Value;
///
/// let value = Value::from("Alice");
/// assert_eq!(value, "Alice"); // compares with anything that is bytes
/// assert!(value.starts_with(b"Al")); // has the methods of `[u8]`
/// assert_eq!(value.to_str(), Ok("Alice"));
/// assert_eq!(String::try_from(value.clone()).unwrap(), "Alice");
/// assert_eq!(Vec::from(value), b"Alice");
/// ```
#[derive(Clone, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(Bytes);

impl Value {
    /// Up to this length a value that a store hands out is a copy: 4 KiB.
    pub const COPIED_BYTES_MAX: usize = 4096;

    /// A value that copies `bytes`.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// If the bytes are not UTF-8.
    pub fn to_str(&self) -> Result<&str, Utf8Error> {
        std::str::from_utf8(self)
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

/// Copies.
impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::copy_from(bytes)
    }
}

/// Copies.
impl<const N: usize> From<&[u8; N]> for Value {
    fn from(bytes: &[u8; N]) -> Self {
        Self::copy_from(bytes)
    }
}

/// Copies.
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::copy_from(text.as_bytes())
    }
}

impl From<Value> for Bytes {
    fn from(value: Value) -> Self {
        value.0
    }
}

/// Copies, unless this is the only handle to bytes that are in memory.
impl From<Value> for Vec<u8> {
    fn from(value: Value) -> Self {
        value.0.into()
    }
}

/// Copies when the conversion to `Vec<u8>` does. Fails if the bytes are not UTF-8; the error
/// returns the bytes.
impl TryFrom<Value> for String {
    type Error = FromUtf8Error;

    fn try_from(value: Value) -> Result<Self, FromUtf8Error> {
        Self::from_utf8(value.into())
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Borrow<[u8]> for Value {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl<T: AsRef<[u8]> + ?Sized> PartialEq<T> for Value {
    fn eq(&self, other: &T) -> bool {
        **self == *other.as_ref()
    }
}

impl PartialEq<Value> for str {
    fn eq(&self, other: &Value) -> bool {
        *self.as_bytes() == **other
    }
}

impl PartialEq<Value> for &str {
    fn eq(&self, other: &Value) -> bool {
        *self.as_bytes() == **other
    }
}

impl PartialEq<Value> for String {
    fn eq(&self, other: &Value) -> bool {
        *self.as_bytes() == **other
    }
}

impl PartialEq<Value> for [u8] {
    fn eq(&self, other: &Value) -> bool {
        *self == **other
    }
}

impl PartialEq<Value> for &[u8] {
    fn eq(&self, other: &Value) -> bool {
        **self == **other
    }
}

impl PartialEq<Value> for Vec<u8> {
    fn eq(&self, other: &Value) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
