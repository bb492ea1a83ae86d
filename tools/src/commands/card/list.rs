//! The cards there are: those on the bus, and the simulated ones.

use std::fmt;

use kiln_driver::Interface;
use kiln_driver::sysfs::{Bus, BusCard};
use kiln_sim::profile::Profile;
use serde::Serialize;

use crate::error::Failure;
use crate::output::Report;

/// The driver that a card must be bound to before this program can open it.
const VFIO_PCI: &str = "vfio-pci";

/// The cards there are.
#[derive(Debug, Serialize)]
pub struct List {
    cards: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct Entry {
    address: String,
    simulated: bool,
    /// `ready` to be opened, or `unbound`: bind it first.
    state: &'static str,
    driver: Option<String>,
    link: Option<String>,
    numa_node: Option<u32>,
    iommu_group: Option<u32>,
    /// Which interface of the kernel's VFIO opens it: `group` or `cdev`.
    interface: Option<&'static str>,
}

/// Reads the bus.
pub fn run() -> Result<List, Failure> {
    let on_bus = Bus::default().cards().map_err(|e| Failure::refused("list the cards on the bus", e))?;
    let simulated = Profile::names().into_iter().map(|name| Entry {
        address: format!("sim:{name}"),
        simulated: true,
        state: "ready",
        driver: None,
        link: None,
        numa_node: None,
        iommu_group: None,
        interface: None,
    });
    Ok(List { cards: on_bus.into_iter().map(Entry::of).chain(simulated).collect() })
}

impl Entry {
    fn of(card: BusCard) -> Entry {
        let lanes = card.link_lanes.map(|lanes| format!("x{lanes}"));
        let link: Vec<String> = card.link_speed.into_iter().chain(lanes).collect();
        Entry {
            address: format!("vfio:{}", card.address),
            simulated: false,
            state: if card.driver.as_deref() == Some(VFIO_PCI) { "ready" } else { "unbound" },
            driver: card.driver,
            link: (!link.is_empty()).then(|| link.join(" ")),
            numa_node: card.numa_node,
            iommu_group: card.iommu_group,
            interface: card.interface.map(Interface::name),
        }
    }
}

impl Report for List {
    const SCHEMA: &'static str = "kiln.card.list/2";
}

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, cells: [&str; 7]| {
            let [address, state, driver, interface, group, node, link] = cells;
            write!(f, "{address:<20} {state:<9} {driver:<10} {interface:<9} {group:<6} {node:<5} {link}")
        };
        row(f, ["CARD", "STATE", "DRIVER", "INTERFACE", "IOMMU", "NUMA", "LINK"])?;
        let number = |value: Option<u32>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        for card in &self.cards {
            writeln!(f)?;
            let driver = if card.simulated { Some("simulated") } else { card.driver.as_deref() };
            let (group, node) = (number(card.iommu_group), number(card.numa_node));
            let link = card.link.as_deref().unwrap_or("-");
            let (driver, interface) = (driver.unwrap_or("-"), card.interface.unwrap_or("-"));
            row(f, [&card.address, card.state, driver, interface, &group, &node, link])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_on_the_bus_is_ready_once_vfio_has_it() {
        let mut card = BusCard {
            address: "0000:41:00.0".parse().unwrap(),
            link_speed: Some("8.0 GT/s PCIe".into()),
            link_lanes: Some(16),
            numa_node: Some(1),
            iommu_group: Some(7),
            driver: None,
            interface: None,
        };
        assert_eq!(Entry::of(card.clone()).state, "unbound");
        card.driver = Some(VFIO_PCI.into());
        card.interface = Some(Interface::Cdev);
        let list = List { cards: vec![Entry::of(card)] };
        let row = list.to_string().lines().nth(1).unwrap().to_owned();
        assert_eq!(row, "vfio:0000:41:00.0    ready     vfio-pci   cdev      7      1     8.0 GT/s PCIe x16");
    }
}
