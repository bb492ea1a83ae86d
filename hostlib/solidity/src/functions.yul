// Says that the proof is not valid.
function refuse() {
    mstore(0, 0)
    return(0, 0x20)
}
// A point of the curve or infinity.
function checkPoint(offset) {
    let q := ORDER_OF_FIELD
    let x := calldataload(offset)
    let y := calldataload(add(offset, 0x20))
    if iszero(and(lt(x, q), lt(y, q))) { refuse() }
    if or(x, y) {
        if iszero(eq(mulmod(y, y, q), addmod(mulmod(x, mulmod(x, x, q), q), 3, q))) { refuse() }
    }
}
// Draws a challenge from the transcript, whose next free word is at end.
function draw(end, label) -> challenge {
    mstore(end, label)
    for {} iszero(challenge) {} {
        mstore(add(end, 0x20), 0)
        mstore(TRANSCRIPT, keccak256(TRANSCRIPT, sub(add(end, 0x40), TRANSCRIPT)))
        mstore(add(TRANSCRIPT, 0x20), 1)
        let high := keccak256(TRANSCRIPT, 0x40)
        mstore(add(TRANSCRIPT, 0x20), 2)
        let r := ORDER_OF_GROUP
        // 512 bits modulo r: the high half counts 2^256.
        high := mulmod(high, addmod(not(0), 1, r), r)
        challenge := addmod(high, keccak256(TRANSCRIPT, 0x40), r)
        end := TRANSCRIPT
    }
}
// x^(r - 2): the inverse of what is not zero.
function inverse(x) -> y {
    mstore(0, 0x20)
    mstore(0x20, 0x20)
    mstore(0x40, 0x20)
    mstore(0x60, x)
    mstore(0x80, sub(ORDER_OF_GROUP, 2))
    mstore(0xa0, ORDER_OF_GROUP)
    if iszero(staticcall(gas(), 5, 0, 0xc0, 0, 0x20)) { refuse() }
    if iszero(eq(returndatasize(), 0x20)) { refuse() }
    y := mload(0)
}
// Adds count fractions value * name / (z - name) to the one at place; each value is the one before times ratio, each
// name the one before times nameStep.
function addFractions(place, z, name, nameStep, value, ratio, count) {
    let top := mload(place)
    let bottom := mload(add(place, 0x20))
    value := mulmod(value, name, ORDER_OF_GROUP)
    ratio := mulmod(ratio, nameStep, ORDER_OF_GROUP)
    for {} 1 {} {
        let factor := addmod(z, sub(ORDER_OF_GROUP, name), ORDER_OF_GROUP)
        top := addmod(mulmod(top, factor, ORDER_OF_GROUP), mulmod(value, bottom, ORDER_OF_GROUP), ORDER_OF_GROUP)
        bottom := mulmod(bottom, factor, ORDER_OF_GROUP)
        count := sub(count, 1)
        if iszero(count) { break }
        name := mulmod(name, nameStep, ORDER_OF_GROUP)
        value := mulmod(value, ratio, ORDER_OF_GROUP)
    }
    mstore(place, top)
    mstore(add(place, 0x20), bottom)
}
// Words of the calldata, the first at offset, weighted by powers of step.
function wordSum(offset, stride, count, step) -> sum {
    let r := ORDER_OF_GROUP
    for {} count {} {
        count := sub(count, 1)
        sum := addmod(mulmod(sum, step, r), calldataload(add(offset, mul(count, stride))), r)
    }
}
// Adds the point at 0, times the factor at 0x40, to the sum at 0x80.
function addTerm() {
    if iszero(staticcall(gas(), 7, 0, 0x60, 0xc0, 0x40)) { refuse() }
    if iszero(eq(returndatasize(), 0x40)) { refuse() }
    if iszero(staticcall(gas(), 6, 0x80, 0x80, 0x80, 0x40)) { refuse() }
    if iszero(eq(returndatasize(), 0x40)) { refuse() }
}
// The verdict: two pairings of the points at base.
function pairing(base) {
    if iszero(staticcall(gas(), 8, base, 0x180, 0, 0x20)) { refuse() }
    if iszero(eq(returndatasize(), 0x20)) { refuse() }
    mstore(0, eq(mload(0), 1))
    return(0, 0x20)
}
