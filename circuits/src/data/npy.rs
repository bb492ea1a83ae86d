//! NumPy's `.npy` files (the format's specification: `numpy.lib.format`): a magic number, a version, a header that is a Python
//! dictionary, and the elements.

/// Why a `.npy` file could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)] // each message names its fields
pub enum NpyError {
    /// Not such a file, or cut short.
    #[error("it should be a .npy file of version 1 or 2, with a whole header")]
    Header,
    /// Elements of another kind.
    #[error(
        "its elements are `{got}`, expected <f4, <f8, |u1, <i4 or <i8; convert it, as with astype('<f4')"
    )]
    Type { got: String },
    /// Column-major.
    #[error("it is in Fortran order; save numpy.ascontiguousarray of it")]
    Order,
    /// The elements do not fill the shape.
    #[error("its shape needs {expected} elements, got {got}")]
    Length { expected: u64, got: u64 },
}

const MAGIC: &[u8] = b"\x93NUMPY";

/// The elements, row-major.
pub fn read_npy(bytes: &[u8]) -> Result<Vec<f32>, NpyError> {
    let (header, data) = split(bytes).ok_or(NpyError::Header)?;
    let descr = value(header, "'descr':").and_then(quoted).ok_or(NpyError::Header)?;
    if !value(header, "'fortran_order':").ok_or(NpyError::Header)?.starts_with("False") {
        return Err(NpyError::Order);
    }
    let expected = elements(value(header, "'shape':").ok_or(NpyError::Header)?).ok_or(NpyError::Header)?;
    #[expect(clippy::as_conversions, reason = "records are in single precision")]
    let values: Vec<f32> = match descr {
        "<f4" => words(data, f32::from_le_bytes),
        "<f8" => words(data, |b| f64::from_le_bytes(b) as f32),
        "<i4" => words(data, |b| i32::from_le_bytes(b) as f32),
        "<i8" => words(data, |b| i64::from_le_bytes(b) as f32),
        "|u1" => words(data, |b: [u8; 1]| f32::from(u8::from_le_bytes(b))),
        other => return Err(NpyError::Type { got: other.to_owned() }),
    };
    match u64::try_from(values.len()) {
        Ok(got) if got == expected => Ok(values),
        got => Err(NpyError::Length { expected, got: got.unwrap_or(u64::MAX) }),
    }
}

fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (version, rest) = rest.split_first_chunk::<2>()?;
    let (len, rest) = match version {
        [1, _] => {
            rest.split_first_chunk::<2>().map(|(len, rest)| (u32::from(u16::from_le_bytes(*len)), rest))?
        }
        [2, _] => rest.split_first_chunk::<4>().map(|(len, rest)| (u32::from_le_bytes(*len), rest))?,
        _ => return None,
    };
    let (header, data) = rest.split_at_checked(usize::try_from(len).ok()?)?;
    Some((std::str::from_utf8(header).ok()?, data))
}

/// What follows a key of the header.
fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    header.split_once(key).map(|(_, rest)| rest.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split_once('\'').map(|(inside, _)| inside)
}

/// The number of elements of `(2, 3, …)`.
fn elements(shape: &str) -> Option<u64> {
    let (inside, _) = shape.strip_prefix('(')?.split_once(')')?;
    let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
    sizes
        .map(|size| size.parse().ok())
        .try_fold(1u64, |product, size: Option<u64>| product.checked_mul(size?))
}

/// `N`-byte words; bytes that do not fill one are left out, and then the length does not match.
fn words<const N: usize>(data: &[u8], convert: fn([u8; N]) -> f32) -> Vec<f32> {
    let (words, _) = data.as_chunks::<N>();
    words.iter().map(|word| convert(*word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        [MAGIC, &[1, 0], &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn elements_of_every_kind_are_read_in_order() {
        let kinds: [(&str, Vec<u8>); 4] = [
            ("<f4", [1f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("<f8", [1f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("<i4", [1i32, -2].iter().flat_map(|v| v.to_le_bytes()).collect()),
            ("<i8", [1i64, -2].iter().flat_map(|v| v.to_le_bytes()).collect()),
        ];
        for (descr, data) in kinds {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (1, 2), }}    \n");
            assert_eq!(read_npy(&file(&header, &data)), Ok(vec![1.0, -2.0]), "{descr}");
        }
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        assert_eq!(read_npy(&file(header, &[0, 7, 255])), Ok(vec![0.0, 7.0, 255.0]));
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (), }\n";
        assert_eq!(read_npy(&file(header, &[9])), Ok(vec![9.0]), "a scalar");
    }

    #[test]
    fn what_is_not_such_a_file_is_refused_in_words() {
        let header = |descr, order, shape| {
            format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}\n")
        };
        let read = |header: String, data: &[u8]| read_npy(&file(&header, data)).unwrap_err();
        assert_eq!(read(header("<f4", "True", "(1,)"), &[0; 4]), NpyError::Order);
        assert_eq!(read(header("<c8", "False", "(1,)"), &[0; 8]), NpyError::Type { got: "<c8".into() });
        for (shape, got) in [("(3,)", 2), ("(1,)", 2), ("(4294967296, 4294967295)", 2)] {
            let error = read(header("<f4", "False", shape), &[0; 8]);
            assert!(matches!(error, NpyError::Length { got: length, .. } if length == got), "{shape}");
        }
        for shape in ["(4294967296, 4294967296)", "(-1,)", "(a,)", "3", "(3"] {
            assert_eq!(read(header("<f4", "False", shape), &[0; 8]), NpyError::Header, "{shape}");
        }
        let whole = file(&header("<f4", "False", "(2,)"), &[0; 8]);
        for length in 0..whole.len() {
            assert!(read_npy(&whole[..length]).is_err(), "{length} bytes");
        }
    }
}
