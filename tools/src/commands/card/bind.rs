//! Gives cards to processes, and takes them back.

use std::fmt;

use kiln_driver::sysfs::{Bus, BusCard};
use kiln_driver::{Address, PciAddress};
use serde::Serialize;

use crate::backend::CardAddress;
use crate::error::Failure;
use crate::output::Report;

/// What a card is bound to now.
#[derive(Debug, Serialize)]
pub struct Binding {
    card: String,
    driver: Option<String>,
    iommu_group: Option<u32>,
}

/// Binds a card to vfio-pci, for a user or for root alone.
pub fn bind(bus: &Bus, address: &CardAddress, user: Option<&str>) -> Result<Binding, Failure> {
    let place = on_bus(address)?;
    let owner = user.map(user_ids).transpose()?;
    let card = bus.bind(place, owner).map_err(|e| Failure::refused("bind the card", e))?;
    Ok(Binding::of(&card))
}

/// Unbinds a card.
pub fn unbind(bus: &Bus, address: &CardAddress) -> Result<Binding, Failure> {
    let card = bus.unbind(on_bus(address)?).map_err(|e| Failure::refused("unbind the card", e))?;
    Ok(Binding::of(&card))
}

fn on_bus(address: &CardAddress) -> Result<PciAddress, Failure> {
    match address {
        CardAddress::Device(Address::Vfio(card)) => Ok(card.place),
        other => {
            Err(Failure::Input(format!("{other} is not on the PCI bus; name a card as vfio:0000:41:00.0")))
        }
    }
}

/// User and group id of a user, who is named or given by number.
fn user_ids(user: &str) -> Result<(u32, u32), Failure> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    find_user(&users, user).ok_or_else(|| Failure::Input(format!("this machine has no user {user:?}")))
}

fn find_user(users: &str, user: &str) -> Option<(u32, u32)> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, group, ..] = fields[..] else { return None };
        if name == user || id == user { Some((id.parse().ok()?, group.parse().ok()?)) } else { None }
    })
}

impl Binding {
    fn of(card: &BusCard) -> Binding {
        Binding {
            card: format!("vfio:{}", card.address),
            driver: card.driver.clone(),
            iommu_group: card.iommu_group,
        }
    }
}

impl Report for Binding {
    const SCHEMA: &'static str = "kiln.card.bind/1";
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is bound to {}", self.card, self.driver.as_deref().unwrap_or("no driver"))?;
        match self.iommu_group {
            Some(group) => write!(f, ", IOMMU group {group}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output;

    #[test]
    fn binding_prints_what_was_reviewed() {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("sys/bus/pci/devices/0000:41:00.0");
        std::fs::create_dir_all(&device).unwrap();
        std::fs::create_dir_all(folder.path().join("sys/bus/pci/drivers/vfio-pci")).unwrap();
        for (path, text) in [
            ("devices/0000:41:00.0/vendor", "0x4b4c\n"),
            ("devices/0000:41:00.0/device", "0x0001\n"),
            ("devices/0000:41:00.0/driver_override", ""),
            ("drivers_probe", ""),
            ("drivers/vfio-pci/unbind", ""),
        ] {
            std::fs::write(folder.path().join("sys/bus/pci").join(path), text).unwrap();
        }
        std::os::unix::fs::symlink("../../kernel/iommu_groups/7", device.join("iommu_group")).unwrap();
        let bus = Bus::below(folder.path());
        let (card, other) = ("vfio:0000:41:00.0".parse().unwrap(), "vfio:0000:42:00.0".parse().unwrap());
        let mut seen = String::new();
        let mut note = |outcome: Result<Binding, Failure>| {
            let text = match outcome {
                Ok(binding) => binding.to_string(),
                Err(failure) => failure.one_line(),
            };
            seen += &text.replace(folder.path().to_str().unwrap(), "");
            seen += "\n";
        };
        // No kernel acts on these files: the card stays as it is, and that is said.
        note(bind(&bus, &card, None));
        note(bind(&bus, &other, None));
        std::os::unix::fs::symlink("../../bus/pci/drivers/vfio-pci", device.join("driver")).unwrap();
        note(bind(&bus, &card, None));
        note(bind(&bus, &card, Some("no such user")));
        note(unbind(&bus, &card));
        note(unbind(&bus, &other));
        insta::assert_snapshot!("card_bind", seen);
        insta::assert_json_snapshot!("json_card_bind", output::value(&bind(&bus, &card, None).unwrap()));
    }

    #[test]
    fn users_are_found_by_name_and_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nkiln:x:1001:1002::/home/kiln:/bin/sh\n";
        assert_eq!(find_user(users, "kiln"), Some((1001, 1002)));
        assert_eq!(find_user(users, "1001"), Some((1001, 1002)));
        assert_eq!(find_user(users, "x"), None);
        assert!(on_bus(&"sim:u55c".parse().unwrap()).is_err());
    }
}
