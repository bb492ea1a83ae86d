//! The virtual machine.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::packages::System;
use crate::error::{Failure, at};

/// Memory of the guest. \[MiB\]
const MEMORY_MIB: u32 = 768;

/// Starts QEMU with the card plugged in; the guest's serial line is the child's standard output.
///
/// The IOMMU must come before the card. Guest memory is a shared memfd, because the card's process works in it; were it
/// private, the card would write to a copy without anybody noticing.
pub fn start(system: &System, initrd: &Path, socket: &Path) -> Result<Child, Failure> {
    let card = format!(
        "{{\"driver\":\"vfio-user-pci\",\"id\":\"card\",\"x-msg-timeout\":60000,\"socket\":{{\"type\":\"unix\",\"path\":\"{}\"}}}}",
        socket.display()
    );
    let mut command = system.qemu();
    command
        .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio", "-monitor", "none"])
        .args(["-machine", "q35,memory-backend=mem0", "-accel", "tcg,thread=multi"])
        .args(["-cpu", "max", "-smp", "1", "-m", &format!("{MEMORY_MIB}M")])
        .args(["-object", &format!("memory-backend-memfd,id=mem0,size={MEMORY_MIB}M,share=on")])
        .args(["-device", "intel-iommu,intremap=on,caching-mode=on", "-device", &card])
        .arg("-kernel")
        .arg(&system.kernel)
        .arg("-initrd")
        .arg(initrd)
        .args([
            "-append",
            "console=ttyS0 panic=-1 intel_iommu=on quiet mitigations=off no_timer_check tsc=reliable cryptomgr.notests",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    spawn(&mut command)
}

fn spawn(command: &mut Command) -> Result<Child, Failure> {
    command.spawn().map_err(at("QEMU"))
}
