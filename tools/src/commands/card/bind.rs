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
pub fn bind(address: &CardAddress, user: Option<&str>) -> Result<Binding, Failure> {
    let place = on_bus(address)?;
    let owner = user.map(user_ids).transpose()?;
    let card = Bus::default().bind(place, owner).map_err(|e| Failure::refused("bind the card", e))?;
    Ok(Binding::of(&card))
}

/// Unbinds a card.
pub fn unbind(address: &CardAddress) -> Result<Binding, Failure> {
    let card = Bus::default().unbind(on_bus(address)?).map_err(|e| Failure::refused("unbind the card", e))?;
    Ok(Binding::of(&card))
}

fn on_bus(address: &CardAddress) -> Result<PciAddress, Failure> {
    match address {
        CardAddress::Device(Address::Vfio(place)) => Ok(*place),
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

    #[test]
    fn users_are_found_by_name_and_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nkiln:x:1001:1002::/home/kiln:/bin/sh\n";
        assert_eq!(find_user(users, "kiln"), Some((1001, 1002)));
        assert_eq!(find_user(users, "1001"), Some((1001, 1002)));
        assert_eq!(find_user(users, "x"), None);
        assert!(on_bus(&"sim:u55c".parse().unwrap()).is_err());
    }
}
