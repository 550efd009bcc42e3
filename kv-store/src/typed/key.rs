/// What can be a key: integers, `bool`, `String`, `Vec<u8>`, arrays of bytes, and tuples of these.
/// Of two keys of one type the lower one has the lower bytes, so a collection sorts them as the
/// type does.
///
/// - Integers are in big-endian order, signed ones with the sign bit flipped.
/// - `String` and `Vec<u8>` are the bytes themselves. If another part of a tuple follows, a zero
///   byte in them is written as 00 ff, and their end as 00 00. (The tuple layer of FoundationDB
///   does it in much the same way.)
/// - A tuple is its parts, one after the other.
///
/// A key must not be empty, so a `String` alone must not be. Types of your own may implement it by
/// the same rule:
///
/// ```
/// use kv_store::typed::Key;
///
/// struct UserId(u64);
///
/// impl Key for UserId {
///     fn encode(&self, out: &mut Vec<u8>, more_follows: bool) {
///         self.0.encode(out, more_follows);
///     }
///
///     fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
///         u64::decode(bytes, more_follows).map(Self)
///     }
/// }
///
/// assert_eq!(UserId(258).to_bytes(), [0, 0, 0, 0, 0, 0, 1, 2]);
/// assert_eq!((-1_i8, "a".to_owned()).to_bytes(), [0x7f, b'a']);
/// ```
pub trait Key: Sized {
    /// Appends the bytes of the key. If more follows, it must be possible to find their end.
    fn encode(&self, out: &mut Vec<u8>, more_follows: bool);

    /// Takes a key off the front of `bytes`; `None` if they do not begin with one.
    fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self>;

    /// The bytes of the key.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes, false);
        bytes
    }

    /// The key with these bytes; `None` if there is none.
    fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let key = Self::decode(&mut bytes, false)?;
        bytes.is_empty().then_some(key)
    }
}

/// What is written for a zero byte, and at the end, if more follows.
const ZERO: [u8; 2] = [0, 0xff];
const END: [u8; 2] = [0, 0];

macro_rules! integers {
    ($($unsigned:ty, $signed:ty;)*) => {$(
        impl Key for $unsigned {
            fn encode(&self, out: &mut Vec<u8>, _: bool) {
                out.extend(self.to_be_bytes());
            }

            fn decode(bytes: &mut &[u8], _: bool) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*first))
            }
        }

        impl Key for $signed {
            fn encode(&self, out: &mut Vec<u8>, more_follows: bool) {
                (self.cast_unsigned() ^ Self::MIN.cast_unsigned()).encode(out, more_follows);
            }

            fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
                let flipped = <$unsigned>::decode(bytes, more_follows)?;
                Some((flipped ^ Self::MIN.cast_unsigned()).cast_signed())
            }
        }
    )*};
}

integers! {
    u8, i8;
    u16, i16;
    u32, i32;
    u64, i64;
    u128, i128;
}

impl Key for bool {
    fn encode(&self, out: &mut Vec<u8>, _: bool) {
        out.push((*self).into());
    }

    fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
        match u8::decode(bytes, more_follows)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

impl<const N: usize> Key for [u8; N] {
    fn encode(&self, out: &mut Vec<u8>, _: bool) {
        out.extend(self);
    }

    fn decode(bytes: &mut &[u8], _: bool) -> Option<Self> {
        let (first, rest) = bytes.split_first_chunk()?;
        *bytes = rest;
        Some(*first)
    }
}

impl Key for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>, more_follows: bool) {
        encode_bytes(self, out, more_follows);
    }

    fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
        decode_bytes(bytes, more_follows)
    }
}

impl Key for String {
    fn encode(&self, out: &mut Vec<u8>, more_follows: bool) {
        encode_bytes(self.as_bytes(), out, more_follows);
    }

    fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
        String::from_utf8(decode_bytes(bytes, more_follows)?).ok()
    }
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>, more_follows: bool) {
    if !more_follows {
        out.extend(bytes);
        return;
    }
    for (number, part) in bytes.split(|byte| *byte == 0).enumerate() {
        if number > 0 {
            out.extend(ZERO);
        }
        out.extend(part);
    }
    out.extend(END);
}

fn decode_bytes(bytes: &mut &[u8], more_follows: bool) -> Option<Vec<u8>> {
    if !more_follows {
        return Some(std::mem::take(bytes).to_vec());
    }
    let mut decoded = Vec::new();
    loop {
        let zero = bytes.iter().position(|byte| *byte == 0)?;
        decoded.extend(&bytes[..zero]);
        let (pair, rest) = bytes[zero..].split_first_chunk()?;
        *bytes = rest;
        match *pair {
            ZERO => decoded.push(0),
            END => return Some(decoded),
            _ => return None,
        }
    }
}

macro_rules! tuples {
    ($($($part:ident $at:tt)+, $last:ident $last_at:tt;)*) => {$(
        impl<$($part: Key,)+ $last: Key> Key for ($($part,)+ $last) {
            fn encode(&self, out: &mut Vec<u8>, more_follows: bool) {
                $(self.$at.encode(out, true);)+
                self.$last_at.encode(out, more_follows);
            }

            fn decode(bytes: &mut &[u8], more_follows: bool) -> Option<Self> {
                Some(($($part::decode(bytes, true)?,)+ $last::decode(bytes, more_follows)?))
            }
        }
    )*};
}

tuples! {
    A 0, B 1;
    A 0 B 1, C 2;
    A 0 B 1 C 2, D 3;
}
