//! Cards on this machine's PCI bus, as the kernel lists them, and which driver they are bound to.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::address::PciAddress;
use crate::transport::vfio::interface::{self, Interface, VFIO_PCI};

/// Identifiers of a Kiln card. They are not registered with anybody.
pub const VENDOR: u16 = 0x4b4c;
/// See [`VENDOR`].
pub const DEVICE: u16 = 0x0001;

/// A card on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BusCard {
    /// Where it is.
    pub address: PciAddress,
    /// Speed of its link, in the kernel's words.
    pub link_speed: Option<String>,
    /// Lanes of its link.
    pub link_lanes: Option<u32>,
    /// The memory node that it is next to.
    pub numa_node: Option<u32>,
    /// Its IOMMU group; none without an IOMMU.
    pub iommu_group: Option<u32>,
    /// The driver that it is bound to.
    pub driver: Option<String>,
    /// The interface of the kernel by which it would be opened; none while it is not bound to vfio-pci.
    pub interface: Option<Interface>,
}

/// Why the bus cannot be read or a card not be bound.
#[derive(Debug, Error)]
pub enum BusError {
    /// There is no such card.
    #[error("there is no Kiln card at {address}; `kiln card list` names the cards there are")]
    NoCard {
        /// Where it was looked for.
        address: PciAddress,
    },
    /// The kernel did not do it.
    #[error("cannot {action} ({path}); {advice}", path = .path.display())]
    Kernel {
        /// What was attempted.
        action: &'static str,
        /// The kernel's file for it.
        path: PathBuf,
        /// What may help.
        advice: &'static str,
        /// Why not.
        source: io::Error,
    },
}

/// The PCI bus, below a root that is `/` except in tests.
#[derive(Clone, Debug)]
pub struct Bus {
    root: PathBuf,
}

impl Default for Bus {
    fn default() -> Bus {
        Bus::below(Path::new("/"))
    }
}

impl Bus {
    /// The bus of the system whose files are below this folder.
    pub fn below(root: &Path) -> Bus {
        Bus { root: root.to_owned() }
    }

    /// The cards, by address. None on a machine without PCI.
    pub fn cards(&self) -> Result<Vec<BusCard>, BusError> {
        let folder = self.root.join("sys/bus/pci/devices");
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => {
                let advice = "look at the permissions of /sys";
                return Err(BusError::Kernel { action: "list PCI devices", path: folder, advice, source });
            }
        };
        let mut cards: Vec<BusCard> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|address| self.card(address))
            .collect();
        cards.sort_by_key(|card| card.address);
        Ok(cards)
    }

    /// The card at this place, if there is one.
    pub fn card(&self, address: PciAddress) -> Option<BusCard> {
        let device = self.device(address);
        let text =
            |name: &str| std::fs::read_to_string(device.join(name)).ok().map(|text| text.trim().to_owned());
        let hexadecimal = |name: &str| u16::from_str_radix(text(name)?.strip_prefix("0x")?, 16).ok();
        let link = |name: &str| {
            let target = std::fs::read_link(device.join(name)).ok()?;
            Some(target.file_name()?.to_string_lossy().into_owned())
        };
        if (hexadecimal("vendor")?, hexadecimal("device")?) != (VENDOR, DEVICE) {
            return None;
        }
        Some(BusCard {
            address,
            link_speed: text("current_link_speed").filter(|speed| !speed.starts_with("Unknown")),
            link_lanes: text("current_link_width")
                .and_then(|lanes| lanes.parse().ok())
                .filter(|lanes| *lanes > 0),
            // The kernel says -1 where there are no nodes.
            numa_node: text("numa_node").and_then(|node| node.parse().ok()),
            iommu_group: link("iommu_group").and_then(|group| group.parse().ok()),
            driver: link("driver"),
            interface: interface::preferred(&self.root, address),
        })
    }

    /// Gives the card to processes: binds it to vfio-pci. With `owner`, lets that user (user and group id) open it.
    pub fn bind(&self, address: PciAddress, owner: Option<(u32, u32)>) -> Result<BusCard, BusError> {
        let card = self.card(address).ok_or(BusError::NoCard { address })?;
        if card.driver.as_deref() != Some(VFIO_PCI) {
            self.set_override(address, VFIO_PCI)?;
            self.release(&card)?;
            self.write("sys/bus/pci/drivers_probe", &address.to_string(), "let vfio-pci take the card")?;
        }
        let card = self.card(address).ok_or(BusError::NoCard { address })?;
        if card.driver.as_deref() != Some(VFIO_PCI) {
            let path = self.device(address).join("driver");
            let source = io::Error::other("the kernel left it unbound");
            let advice = "load the module vfio-pci, and switch the IOMMU on";
            return Err(BusError::Kernel { action: "bind the card to vfio-pci", path, advice, source });
        }
        if let Some((user, group)) = owner {
            let of_group = card.iommu_group.map(|number| self.root.join(format!("dev/vfio/{number}")));
            // The file of iommufd serves every card of the machine, so it is not given away with one.
            for path in of_group.into_iter().chain(interface::cdev_file(&self.root, address)) {
                std::os::unix::fs::chown(&path, Some(user), Some(group)).map_err(|source| {
                    let advice = "run it as root";
                    BusError::Kernel { action: "give the card to the user", path, advice, source }
                })?;
            }
        }
        Ok(card)
    }

    /// Takes the card back: unbinds it from vfio-pci and lets the kernel look for a driver of its own.
    pub fn unbind(&self, address: PciAddress) -> Result<BusCard, BusError> {
        let card = self.card(address).ok_or(BusError::NoCard { address })?;
        // An empty line takes the override away.
        self.set_override(address, "\n")?;
        self.release(&card)?;
        self.write("sys/bus/pci/drivers_probe", &address.to_string(), "look for a driver")?;
        self.card(address).ok_or(BusError::NoCard { address })
    }

    fn set_override(&self, address: PciAddress, driver: &str) -> Result<(), BusError> {
        let path = format!("sys/bus/pci/devices/{address}/driver_override");
        self.write(&path, driver, "choose the card's driver")
    }

    fn release(&self, card: &BusCard) -> Result<(), BusError> {
        match &card.driver {
            None => Ok(()),
            Some(driver) => {
                let path = format!("sys/bus/pci/drivers/{driver}/unbind");
                self.write(&path, &card.address.to_string(), "unbind the card from its driver")
            }
        }
    }

    fn write(&self, path: &str, text: &str, action: &'static str) -> Result<(), BusError> {
        let path = self.root.join(path);
        let mut options = std::fs::OpenOptions::new();
        let written = options.write(true).open(&path).and_then(|mut file| {
            use std::io::Write;
            file.write_all(text.as_bytes())
        });
        written.map_err(|source| BusError::Kernel { action, path, advice: "run it as root", source })
    }

    fn device(&self, address: PciAddress) -> PathBuf {
        interface::device_folder(&self.root, address)
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const ADDRESS: &str = "0000:41:00.0";

    /// A folder that looks like a machine with one card and one other device.
    fn machine() -> (tempfile::TempDir, Bus) {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("not the root")).expect("made");
            std::fs::write(path, text).expect("written");
        };
        let card = format!("sys/bus/pci/devices/{ADDRESS}");
        for (name, text) in [
            ("vendor", "0x4b4c\n"),
            ("device", "0x0001\n"),
            ("current_link_speed", "8.0 GT/s PCIe\n"),
            ("current_link_width", "16\n"),
            ("numa_node", "-1\n"),
            ("driver_override", ""),
        ] {
            write(&format!("{card}/{name}"), text);
        }
        write("sys/bus/pci/devices/0000:00:1f.2/vendor", "0x8086\n");
        write("sys/bus/pci/devices/0000:00:1f.2/device", "0x0001\n");
        write("sys/bus/pci/drivers_probe", "");
        write("sys/bus/pci/drivers/vfio-pci/unbind", "");
        symlink("../../kernel/iommu_groups/7", folder.path().join(card).join("iommu_group")).expect("linked");
        let bus = Bus::below(folder.path());
        (folder, bus)
    }

    fn address() -> PciAddress {
        ADDRESS.parse().expect("an address")
    }

    fn bind_by_hand(bus: &Bus, driver: &str) {
        let link = bus.device(address()).join("driver");
        let _ = std::fs::remove_file(&link);
        symlink(format!("../../bus/pci/drivers/{driver}"), link).expect("linked");
    }

    #[test]
    fn only_our_cards_are_listed_with_what_the_kernel_says() {
        let (_folder, bus) = machine();
        let cards = bus.cards().expect("listed");
        let expected = BusCard {
            address: address(),
            link_speed: Some("8.0 GT/s PCIe".into()),
            link_lanes: Some(16),
            numa_node: None,
            iommu_group: Some(7),
            driver: None,
            interface: None,
        };
        assert_eq!(cards, [expected]);
        assert_eq!(Bus::below(Path::new("/nonexistent")).cards().expect("none"), []);
    }

    #[test]
    fn binding_writes_what_the_kernel_wants_and_looks_whether_it_worked() {
        let (folder, bus) = machine();
        let read = |path: &str| std::fs::read_to_string(folder.path().join(path)).expect("there");
        // Nobody acts on the files here, so the card stays unbound, and that is said.
        let error = bus.bind(address(), None).expect_err("no kernel").to_string();
        assert!(error.contains("vfio-pci"), "{error}");
        assert_eq!(read(&format!("sys/bus/pci/devices/{ADDRESS}/driver_override")), "vfio-pci");
        assert_eq!(read("sys/bus/pci/drivers_probe"), ADDRESS);
        bind_by_hand(&bus, "vfio-pci");
        assert_eq!(bus.bind(address(), None).expect("bound already").driver.as_deref(), Some("vfio-pci"));
        bus.unbind(address()).expect("written");
        assert_eq!(read("sys/bus/pci/drivers/vfio-pci/unbind"), ADDRESS);
    }

    #[test]
    fn card_that_is_not_there_is_not_bound() {
        let (_folder, bus) = machine();
        let other: PciAddress = "0000:00:1f.2".parse().expect("an address");
        assert!(matches!(bus.bind(other, None), Err(BusError::NoCard { .. })));
        assert!(matches!(bus.unbind(other), Err(BusError::NoCard { .. })));
    }
}
