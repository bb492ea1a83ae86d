//! What a card is called, and the way to it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::error::CardError;
use crate::transport::Transport;
use crate::transport::vfio::{Interface, Vfio};
use crate::transport::vfio_user::VfioUser;

/// Where a card is: `vfio:0000:41:00.0` on this machine's bus, where `?interface=group` or `?interface=cdev` may follow, or
/// `vfio-user:/run/kiln/card0.sock` behind a socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A PCI device that the kernel's vfio-pci drives.
    Vfio(VfioAddress),
    /// A vfio-user server's socket.
    VfioUser(PathBuf),
}

/// A card on the bus, and how to open it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VfioAddress {
    /// Where it is.
    pub place: PciAddress,
    /// Which interface of the kernel to use; none for the better one that is there.
    pub interface: Option<Interface>,
}

/// Place of a function on the PCI bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PciAddress {
    /// PCI domain.
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device, 0 to 31.
    pub device: u8,
    /// Function, 0 to 7.
    pub function: u8,
}

/// A text that is no card's address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is no card address; write {expected}")]
pub struct AddressError {
    text: String,
    expected: &'static str,
}

impl Address {
    /// Opens the way to the card. The card itself is not touched beyond being made to answer.
    ///
    /// # Errors
    /// [`CardError::InUse`], [`CardError::NoDevice`], [`CardError::NotOpen`] and [`CardError::Transport`], see [`Vfio::open`] and [`VfioUser::open`].
    pub fn open(&self) -> Result<Arc<dyn Transport>, CardError> {
        Ok(match self {
            Address::Vfio(address) => Arc::new(Vfio::open(*address)?),
            Address::VfioUser(path) => Arc::new(VfioUser::open(path)?),
        })
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        match text.split_once(':') {
            Some(("vfio", rest)) => rest.parse().map(Address::Vfio),
            Some(("vfio-user", path)) if !path.is_empty() => Ok(Address::VfioUser(PathBuf::from(path))),
            _ => Err(AddressError {
                text: text.to_owned(),
                expected: "vfio:DOMAIN:BUS:DEVICE.FUNCTION or vfio-user:SOCKET",
            }),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Vfio(address) => write!(f, "vfio:{address}"),
            Address::VfioUser(path) => write!(f, "vfio-user:{}", path.display()),
        }
    }
}

impl FromStr for VfioAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<VfioAddress, AddressError> {
        let Some((place, option)) = text.split_once('?') else {
            return Ok(VfioAddress { place: text.parse()?, interface: None });
        };
        let name = option.strip_prefix("interface=");
        let interface = Interface::ALL.into_iter().find(|interface| Some(interface.name()) == name);
        match interface {
            Some(_) => Ok(VfioAddress { place: place.parse()?, interface }),
            None => Err(AddressError {
                text: text.to_owned(),
                expected: "?interface=group or ?interface=cdev behind the place, or nothing",
            }),
        }
    }
}

impl fmt::Display for VfioAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match self.interface {
            Some(interface) => write!(f, "?interface={interface}"),
            None => Ok(()),
        }
    }
}

impl FromStr for PciAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<PciAddress, AddressError> {
        let parse = || {
            let (rest, function) = text.split_once('.')?;
            let mut parts = rest.split(':');
            let (domain, bus, device) = (parts.next()?, parts.next()?, parts.next()?);
            if parts.next().is_some()
                || (domain.len(), bus.len(), device.len(), function.len()) != (4, 2, 2, 1)
            {
                return None;
            }
            let number = |digits: &str, below: u16| {
                let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
                u16::from_str_radix(digits, 16).ok().filter(|value| plain && *value < below)
            };
            Some(PciAddress {
                domain: u16::from_str_radix(domain, 16).ok().filter(|_| !domain.starts_with('+'))?,
                bus: number(bus, 256)? as u8,
                device: number(device, 32)? as u8,
                function: number(function, 8)? as u8,
            })
        };
        parse().ok_or_else(|| AddressError {
            text: text.to_owned(),
            expected: "DOMAIN:BUS:DEVICE.FUNCTION, such as 0000:41:00.0",
        })
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let PciAddress { domain, bus, device, function } = self;
        write!(f, "{domain:04x}:{bus:02x}:{device:02x}.{function}")
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_they_are_written() {
        for text in [
            "vfio:0000:41:00.0",
            "vfio:ffff:ff:1f.7",
            "vfio:0000:41:00.0?interface=group",
            "vfio:0000:41:00.0?interface=cdev",
            "vfio-user:/run/kiln/card0.sock",
            "vfio-user:a:b",
            "vfio-user:a?interface=b",
        ] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in [
            "",
            "vfio",
            "vfio:",
            "vfio-user:",
            "sim:u55c",
            "vfio:0000:41:00",
            "vfio:0000:41:20.0",
            "vfio:0000:41:00.8",
            "vfio:0:41:00.0",
            "vfio:+000:41:00.0",
            "vfio:0000:4g:00.0",
            "vfio:0000:41:00.0.0",
            "vfio:0000:00:41:00.0",
            "vfio:0000:41:00.0?",
            "vfio:0000:41:00.0?interface",
            "vfio:0000:41:00.0?interface=",
            "vfio:0000:41:00.0?interface=iommufd",
            "vfio:0000:41:00.0?interface=cdev?interface=group",
            "vfio:?interface=cdev",
        ] {
            let error = text.parse::<Address>().expect_err(text).to_string();
            assert!(error.contains("write "), "{error}");
        }
    }
}
