#!/bin/busybox sh
# The guest's first and only process: binds the card to vfio-pci, validates it, proves on it, prints the proof, ends.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci; do
    insmod /modules/$module.ko || echo "guest: no module $module"
done
end() {
    echo "GUEST-RC=$1"
    poweroff -f
}
card=
for device in /sys/bus/pci/devices/*; do
    [ "$(cat $device/vendor)" = 0x4b4c ] && card=${device##*/}
done
[ -n "$card" ] || { echo "guest: no card on the bus"; end 10; }
echo "guest: card at $card, IOMMU group $(basename $(readlink /sys/bus/pci/devices/$card/iommu_group))"
kiln card bind vfio:$card --yes || end 11
kiln card list
kiln card validate vfio:$card --yes --firmware /firmware || end 12
kiln card bench vfio:$card --yes > /tmp/bench || end 14
sed 's/^/guest: /' /tmp/bench
kiln prove --compiled /compiled --record /record.json -o /tmp/proof --public /tmp/public --backend card:vfio:$card 2> /tmp/log || { cat /tmp/log; end 13; }
hexdump -v -e '64/1 "%02x" "\n"' /tmp/proof | sed 's/ *$//; s/^/PROOF /'
hexdump -v -e '64/1 "%02x" "\n"' /tmp/public | sed 's/ *$//; s/^/PUBLIC /'
end 0
