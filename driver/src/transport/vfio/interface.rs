//! The two ways in which the kernel's VFIO hands a device to a process, and the choice between them.
//!
//! Group: `/dev/vfio/N` stands for a whole IOMMU group, and a container maps memory (Linux 3.6 and later). Cdev:
//! `/dev/vfio/devices/vfioN` stands for one device, and `/dev/iommu` maps memory (Linux 6.6 and later, where it was built
//! with `CONFIG_VFIO_DEVICE_CDEV`).

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use crate::address::{PciAddress, VfioAddress};
use crate::error::CardError;

/// The kernel's driver that gives a device to a process.
pub(crate) const VFIO_PCI: &str = "vfio-pci";
/// The character device of iommufd, below the root.
const IOMMU: &str = "dev/iommu";

/// An interface of the kernel's VFIO.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interface {
    /// One file for an IOMMU group; a container maps memory.
    Group,
    /// One file for a device; iommufd maps memory.
    Cdev,
}

impl Interface {
    /// Both.
    pub const ALL: [Interface; 2] = [Interface::Group, Interface::Cdev];

    /// Its name in addresses.
    pub fn name(self) -> &'static str {
        match self {
            Interface::Group => "group",
            Interface::Cdev => "cdev",
        }
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A way that was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Through the device's group.
    Group,
    /// Through the device's own file.
    Cdev {
        /// `/dev/vfio/devices/vfioN`.
        device: PathBuf,
        /// `/dev/iommu`.
        iommu: PathBuf,
    },
}

/// Chooses the way to a card: the one that its address asks for, otherwise cdev where the kernel has it and this user may
/// use it, otherwise the group.
///
/// # Errors
/// [`CardError::NoDevice`]; [`CardError::NotOpen`] when it is not bound to vfio-pci, or the kernel does not have what was
/// asked for.
pub(crate) fn choose(root: &Path, address: VfioAddress) -> Result<Way, CardError> {
    let place = address.place;
    let fail = |reason: String| Err(CardError::NotOpen { card: place.to_string(), reason });
    let folder = device_folder(root, place);
    if !folder.exists() {
        return Err(CardError::NoDevice { address: place });
    }
    let driver = std::fs::read_link(folder.join("driver")).ok();
    let driver = driver.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    if driver.as_deref() != Some(VFIO_PCI) {
        let now = driver.map_or_else(|| "no driver".to_owned(), |name| format!("the driver {name}"));
        return fail(format!("it is bound to {now}; bind it to vfio-pci: kiln card bind vfio:{place}"));
    }
    if !folder.join("iommu_group").exists() {
        return fail("it is behind no IOMMU; switch that on in the firmware and the kernel".to_owned());
    }
    let (device, iommu) = (cdev_file(root, place), root.join(IOMMU));
    let instead = "or leave ?interface=cdev out of its address";
    match (address.interface, device) {
        (Some(Interface::Group), _) | (None, None) => Ok(Way::Group),
        (Some(Interface::Cdev), None) => {
            let folder = folder.join("vfio-dev");
            fail(format!(
                "the kernel offers no device file for it ({} is empty or missing); use a kernel with CONFIG_VFIO_DEVICE_CDEV, {instead}",
                folder.display()
            ))
        }
        (Some(Interface::Cdev), Some(_)) if !iommu.exists() => {
            fail(format!("there is no {}; load the module iommufd, {instead}", iommu.display()))
        }
        (Some(Interface::Cdev), Some(device)) => Ok(Way::Cdev { device, iommu }),
        (None, Some(device)) if may_use(&device) && may_use(&iommu) => Ok(Way::Cdev { device, iommu }),
        (None, Some(_)) => Ok(Way::Group),
    }
}

/// The interface by which a card that is bound to vfio-pci would be opened.
pub(crate) fn preferred(root: &Path, place: PciAddress) -> Option<Interface> {
    match choose(root, VfioAddress { place, interface: None }) {
        Ok(Way::Group) => Some(Interface::Group),
        Ok(Way::Cdev { .. }) => Some(Interface::Cdev),
        Err(_) => None,
    }
}

/// The device's own file, where the kernel made one.
pub(crate) fn cdev_file(root: &Path, place: PciAddress) -> Option<PathBuf> {
    let entries = std::fs::read_dir(device_folder(root, place).join("vfio-dev")).ok()?;
    let name = entries.flatten().find_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let number = name.strip_prefix("vfio")?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(name)
    })?;
    Some(root.join("dev/vfio/devices").join(name))
}

/// What the kernel says of the device at this place.
pub(crate) fn device_folder(root: &Path, place: PciAddress) -> PathBuf {
    root.join(format!("sys/bus/pci/devices/{place}"))
}

fn may_use(path: &Path) -> bool {
    access(path, Access::READ_OK | Access::WRITE_OK).is_ok()
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A machine with one card: what the kernel would show below `/`.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Machine {
            let machine = Machine(tempfile::tempdir().expect("a folder"));
            std::fs::create_dir_all(device_folder(machine.0.path(), address(None).place)).expect("made");
            machine
        }

        fn link(&self, name: &str, target: &str) {
            let link = device_folder(self.0.path(), address(None).place).join(name);
            symlink(target, &link).expect("linked");
            if name == "iommu_group" {
                // The kernel's link leads somewhere.
                std::fs::create_dir_all(link.parent().expect("a folder").join(target)).expect("made");
            }
        }

        fn file(&self, path: &str) {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "").expect("written");
        }

        fn bound() -> Machine {
            let machine = Machine::new();
            machine.link("driver", "../../drivers/vfio-pci");
            machine.link("iommu_group", "../../../kernel/iommu_groups/7");
            machine
        }

        fn with_cdev() -> Machine {
            let machine = Machine::bound();
            machine.file("sys/bus/pci/devices/0000:41:00.0/vfio-dev/vfio3/dev");
            machine.file("dev/vfio/devices/vfio3");
            machine.file("dev/iommu");
            machine
        }

        fn choose(&self, interface: Option<Interface>) -> Result<Way, String> {
            choose(self.0.path(), address(interface)).map_err(|error| error.to_string())
        }
    }

    fn address(interface: Option<Interface>) -> VfioAddress {
        VfioAddress { place: "0000:41:00.0".parse().expect("an address"), interface }
    }

    #[test]
    fn cdev_is_chosen_where_the_kernel_has_it_and_the_group_elsewhere() {
        let machine = Machine::with_cdev();
        let root = machine.0.path();
        let cdev = Way::Cdev { device: root.join("dev/vfio/devices/vfio3"), iommu: root.join("dev/iommu") };
        assert_eq!(machine.choose(None), Ok(cdev.clone()));
        assert_eq!(machine.choose(Some(Interface::Cdev)), Ok(cdev));
        assert_eq!(machine.choose(Some(Interface::Group)), Ok(Way::Group));
        assert_eq!(preferred(root, address(None).place), Some(Interface::Cdev));
        // Each of the three files that cdev needs is missing once.
        for missing in
            ["dev/iommu", "dev/vfio/devices/vfio3", "sys/bus/pci/devices/0000:41:00.0/vfio-dev/vfio3/dev"]
        {
            let machine = Machine::with_cdev();
            let path = machine.0.path().join(missing);
            std::fs::remove_file(&path).expect("removed");
            if missing.ends_with("/dev") {
                std::fs::remove_dir(path.parent().expect("a folder")).expect("removed");
            }
            assert_eq!(machine.choose(None), Ok(Way::Group), "without {missing}");
            assert_eq!(preferred(machine.0.path(), address(None).place), Some(Interface::Group));
        }
    }

    #[test]
    fn cdev_that_the_kernel_does_not_have_is_refused_with_a_way_out() {
        let error = Machine::bound().choose(Some(Interface::Cdev)).expect_err("no cdev");
        assert!(
            error.contains("CONFIG_VFIO_DEVICE_CDEV") && error.contains("leave ?interface=cdev out"),
            "{error}"
        );
        let machine = Machine::with_cdev();
        std::fs::remove_file(machine.0.path().join("dev/iommu")).expect("removed");
        let error = machine.choose(Some(Interface::Cdev)).expect_err("no iommufd");
        assert!(error.contains("dev/iommu; load the module iommufd"), "{error}");
    }

    #[test]
    fn names_that_are_no_device_of_vfio_are_passed_over() {
        let machine = Machine::bound();
        for name in ["vfio", "vfio3a", "power", "vfio-3"] {
            machine.file(&format!("sys/bus/pci/devices/0000:41:00.0/vfio-dev/{name}/dev"));
        }
        machine.file("dev/iommu");
        assert_eq!(cdev_file(machine.0.path(), address(None).place), None);
        assert_eq!(machine.choose(None), Ok(Way::Group));
    }

    #[test]
    fn card_that_is_not_ready_to_be_opened_is_told_from_one_that_is_missing() {
        let machine = Machine::new();
        let nowhere = Path::new("/nonexistent");
        assert!(matches!(choose(nowhere, address(None)), Err(CardError::NoDevice { .. })));
        assert!(machine.choose(None).expect_err("unbound").contains("no driver"));
        machine.link("driver", "../../drivers/kiln-old");
        assert!(
            machine.choose(None).expect_err("another driver").contains("kiln card bind vfio:0000:41:00.0")
        );
        let machine = Machine::new();
        machine.link("driver", "../../drivers/vfio-pci");
        assert!(machine.choose(None).expect_err("no IOMMU").contains("IOMMU"));
        assert_eq!(preferred(machine.0.path(), address(None).place), None);
    }
}
