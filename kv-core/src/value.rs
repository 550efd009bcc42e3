use std::{borrow::Borrow, fmt, ops::Deref};

use bytes::Bytes;

/// A handle to the bytes of a value (or a key), wherever they are: in memory or in a mapped file. It derefs to `[u8]`, is cheap
/// to clone, and keeps what it points to alive.
///
/// ```
/// use kv_core::Value;
///
/// let value = Value::from(b"Alice".to_vec());
/// assert_eq!(value, "Alice"); // compares with whatever is bytes
/// assert!(value.starts_with(b"Al")); // has the methods of `[u8]`
/// let text = String::from_utf8(value.to_vec()).unwrap();
/// assert_eq!(text, "Alice");
/// ```
#[derive(Clone, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Value(Bytes);

impl Value {
    /// A value that copies `bytes`.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self(Bytes::copy_from_slice(bytes))
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

impl From<Value> for Bytes {
    fn from(value: Value) -> Self {
        value.0
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

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
