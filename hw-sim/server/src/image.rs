//! Commands that make firmware images for simulated cards, and the keys that sign them.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use kiln_sim::Profile;
use kiln_sim::image::{self, ImageSpec, SigningKey};
use thiserror::Error;

/// Longest key file that is read: 64 digits and a line's end. \[bytes\]
const KEY_FILE_BYTES_MAX: u64 = 80;

/// Why a key or an image cannot be made.
#[derive(Debug, Error)]
pub enum ImageCommandError {
    /// A file cannot be read or written.
    #[error("cannot use {path}; check the path and its permissions")]
    File {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A file holds no key.
    #[error("{path} must hold 64 hexadecimal digits and no more; make a key with kiln-sim key")]
    Key {
        /// Where.
        path: PathBuf,
    },
    /// The bytes are no point of the curve.
    #[error("{path} holds no public key; give the file that ends in .pub")]
    PublicKey {
        /// Where.
        path: PathBuf,
    },
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
    /// The image cannot be.
    #[error(transparent)]
    Image(#[from] image::ImageError),
    /// There is no such profile.
    #[error(transparent)]
    Profile(#[from] kiln_sim::ProfileError),
}

/// A version as MAJOR.MINOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u32);

impl std::str::FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Version, String> {
        let parse = || {
            let (major, minor) = text.split_once('.')?;
            let number = |digits: &str| {
                digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?
            };
            Some(Version(u32::from(number(major)?) << 16 | u32::from(number(minor)?)))
        };
        parse().ok_or_else(|| format!("{text:?} is no version; write MAJOR.MINOR, each at most 65535"))
    }
}

/// What the image does when it is started.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Conduct {
    /// It runs
    Runs,
    /// It does not start, so the card's boot watchdog ends it
    Hangs,
    /// It starts and never becomes ready
    NeverReady,
}

/// Arguments of `kiln-sim image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    /// Version of the image: MAJOR.MINOR, at least 0.1
    #[arg(long)]
    version: Version,
    /// Lowest version that a card takes once this one came up
    #[arg(long, default_value = "0.0")]
    floor: Version,
    /// Card model: the name of a built-in profile, or a TOML file
    #[arg(long, default_value = kiln_sim::DEFAULT_PROFILE)]
    profile: String,
    /// What the image does when it is started
    #[arg(long, value_enum, default_value = "runs")]
    conduct: Conduct,
    /// Length of the payload
    #[arg(long, default_value_t = 4096)]
    payload_bytes: u32,
    /// File with the signing key, as `kiln-sim key` makes it
    #[arg(long, required_unless_present = "insecure_test_key", conflicts_with = "insecure_test_key")]
    key: Option<PathBuf>,
    /// Sign with the public test key, which simulated cards trust unless told otherwise. INSECURE: anybody can
    #[arg(long)]
    insecure_test_key: bool,
    /// Where to put the image
    #[arg(short, long)]
    output: PathBuf,
}

/// Arguments of `kiln-sim key`.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// Where to put the signing key, readable by its owner alone; the public key goes beside it, ending in .pub
    #[arg(short, long)]
    output: PathBuf,
}

impl ImageArgs {
    /// Makes the image.
    pub fn run(&self) -> Result<(), ImageCommandError> {
        let key = match &self.key {
            Some(path) => SigningKey::from_bytes(&read_hexadecimal(path)?),
            None => image::insecure_test_key(),
        };
        let spec = ImageSpec {
            version: self.version.0,
            floor: self.floor.0,
            model: image::model(&load_profile(&self.profile)?.name),
            conduct: match self.conduct {
                Conduct::Runs => image::Conduct::Runs,
                Conduct::Hangs => image::Conduct::Hangs,
                Conduct::NeverReady => image::Conduct::NeverReady,
            },
            payload_bytes: self.payload_bytes,
        };
        let bytes = image::make(&spec, &key)?;
        std::fs::write(&self.output, bytes).map_err(failed(&self.output))
    }
}

impl KeyArgs {
    /// Makes a key.
    pub fn run(&self) -> Result<(), ImageCommandError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        let public = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
        let write = |path: &Path, mode: u32, bytes: &[u8; 32]| {
            let line: String = bytes.iter().map(|byte| format!("{byte:02x}")).chain(["\n".into()]).collect();
            // A key that is there already may be one that cards trust.
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
            file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(failed(path))
        };
        write(&self.output, 0o600, &seed)?;
        write(&public_path(&self.output), 0o644, &public)
    }
}

/// The public key in a file.
pub fn read_public_key(path: &Path) -> Result<[u8; 32], ImageCommandError> {
    let bytes = read_hexadecimal(path)?;
    if image::is_public_key(&bytes) {
        Ok(bytes)
    } else {
        Err(ImageCommandError::PublicKey { path: path.into() })
    }
}

/// A profile by name, or from a TOML file.
pub fn load_profile(profile: &str) -> Result<Profile, ImageCommandError> {
    let path = Path::new(profile);
    if path.is_file() {
        let text = std::fs::read_to_string(path).map_err(failed(path))?;
        return Ok(Profile::from_toml(&text)?);
    }
    Ok(Profile::load(profile)?)
}

fn public_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> ImageCommandError + '_ {
    move |source| ImageCommandError::File { path: path.to_owned(), source }
}

fn read_hexadecimal(path: &Path) -> Result<[u8; 32], ImageCommandError> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed(path))?;
    file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut text).map_err(failed(path))?;
    let digits = text.trim_end().as_bytes();
    let wrong = || ImageCommandError::Key { path: path.to_owned() };
    let value = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    let pairs: &[[u8; 2]; 32] = digits.as_chunks().0.try_into().map_err(|_| wrong())?;
    let mut bytes = [0; 32];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = value(*high).zip(value(*low)).map(|(high, low)| high << 4 | low).ok_or_else(wrong)?;
    }
    if digits.len() == 64 { Ok(bytes) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_two_small_numbers() {
        assert_eq!("1.2".parse(), Ok(Version(0x0001_0002)));
        assert_eq!("65535.0".parse(), Ok(Version(0xffff_0000)));
        for text in ["", "1", "1.", ".1", "1.2.3", "-1.0", "+1.0", "65536.0", "a.b"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_kept_and_only_whole_ones_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing.key");
        let args = KeyArgs { output: path.clone() };
        args.run().unwrap();
        let secret = SigningKey::from_bytes(&read_hexadecimal(&path).unwrap());
        assert_eq!(read_public_key(&public_path(&path)).unwrap(), secret.verifying_key().to_bytes());
        assert!(args.run().is_err(), "a key is never overwritten");
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for text in ["", "00", &"0".repeat(63), &"0".repeat(65), &"0g".repeat(32), &"é".repeat(32)] {
            std::fs::write(folder.path().join("bad"), text).unwrap();
            assert!(read_hexadecimal(&folder.path().join("bad")).is_err(), "{text}");
        }
    }
}
