#!/bin/busybox sh
# The guest's first and only process: for each interface of the kernel's VFIO, binds the card to vfio-pci, validates it and
# measures the driver; then proves on the card, prints the proof, ends.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
end() {
    echo "GUEST-RC=$1"
    poweroff -f
}
load() {
    folder=$1
    shift
    for module in "$@"; do
        insmod /$folder/$module.ko || { echo "guest: no module $module"; end 9; }
    done
}
# Everything, over the interface that the kernel offers now, which must be this one.
check() {
    kiln card bind vfio:$card --yes || end 11
    kiln card list
    kiln card info vfio:$card > /tmp/info || end 15
    grep -q "$1 interface" /tmp/info || { cat /tmp/info; end 16; }
    echo "guest: interface $1"
    kiln card validate vfio:$card --yes --firmware /firmware || end 12
    kiln card bench vfio:$card --yes > /tmp/bench || end 14
    sed 's/^/guest: /' /tmp/bench
}
# While a process has the card over the first interface, another is refused over the second, with the reason.
one_owner() {
    kiln card events "vfio:$card?interface=$1" --follow --timeout-s 60 > /tmp/held 2>&1 &
    holder=$!
    for try in 1 2 3 4 5 6 7 8 9 10; do
        ls -l /proc/$holder/fd | grep -q /dev/vfio/ && break
        sleep 1
    done
    kiln card info "vfio:$card?interface=$2" 2> /tmp/refused && end 19
    grep -q 'is in use by another process' /tmp/refused || { cat /tmp/held /tmp/refused; end 20; }
    kill $holder || { cat /tmp/held; end 21; }
    wait $holder 2> /dev/null
    echo "guest: a card that is open over $1 is refused over $2"
}
card=
for device in /sys/bus/pci/devices/*; do
    [ "$(cat $device/vendor)" = 0x4b4c ] && card=${device##*/}
done
[ -n "$card" ] || { echo "guest: no card on the bus"; end 10; }
echo "guest: card at $card, IOMMU group $(basename $(readlink /sys/bus/pci/devices/$card/iommu_group))"
load modules irqbypass vfio vfio_iommu_type1 vfio-pci-core vfio-pci
check group
if [ -d /modules-iommufd ]; then
    kiln card unbind vfio:$card --yes || end 17
    rmmod vfio-pci vfio-pci-core vfio_iommu_type1 vfio || end 18
    load modules-iommufd iommufd vfio vfio_iommu_type1 vfio-pci-core vfio-pci
    check cdev
    # One card, one owner, whichever way each of the two comes. The older interface is still there.
    one_owner group cdev
    one_owner cdev group
    one_owner cdev cdev
fi
kiln prove --compiled /compiled --record /record.json -o /tmp/proof --public /tmp/public --backend card:vfio:$card 2> /tmp/log || { cat /tmp/log; end 13; }
hexdump -v -e '64/1 "%02x" "\n"' /tmp/proof | sed 's/ *$//; s/^/PROOF /'
hexdump -v -e '64/1 "%02x" "\n"' /tmp/public | sed 's/ *$//; s/^/PUBLIC /'
end 0
