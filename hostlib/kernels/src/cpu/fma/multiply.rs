//! Montgomery's multiplication (1985) modulo r or q, four products at a time.
//!
//! A product of limbs a·b is split exactly into two doubles (Dekker 1971; with fused multiply–add as Emmart has it for
//! big integers): hi = RN(a·b + C), C = 3·2^102, is a·b rounded to a multiple h of 2^51, plus C; and lo = a·b − h, plus
//! 3·2^51, comes of RN(a·b + (C + 3·2^51 − hi)). All doubles between 2^103 and 2^104 have one exponent, so that, read as an
//! integer, hi is h/2^51 plus a constant; the same goes for lo between 2^52 and 2^53. So columns of limbs are summed up in
//! integers, and begin with what the constants come to, negated.
//!
//! |a·b| ≤ 2^102 is what this needs, and rounding to nearest, which is how Rust sets the processor up.
//!
//! **Quotients.** With M ≡ −1 modulo 2^51, a multiple of p, the quotient digit that makes a column vanish is the column's
//! low limb itself, and what is to be added is (M + 1)/2^51 times the digit, one column up. With M ≡ −1 modulo 2^102 it is
//! (M + 1)/2^102 times the digit, *two* columns up, so that the next column need not wait for it. But M is longer than p
//! by as many bits, and the result with it unless as many are shifted out afterwards: digits 0 to 2 use the second M, digit
//! 3 the first, and digit 4 p itself. The result is a·b/2^255 plus at most p/4 + p/4 + p/2.
//!
//! It is written in instructions because a compiler keeps the columns in memory, not in registers.

use std::arch::asm;
use std::arch::x86_64::__m256d;

use ark_ff::MontConfig;

use super::{LIMB_BITS, Stored, balanced, limbs_of};

const LIMB: u64 = (1 << LIMB_BITS) - 1;
/// C as the integer that its bits are.
pub(super) const HI: u64 = 0x4668_0000_0000_0000;
/// 3·2^51 likewise.
pub(super) const LO: u64 = 0x4338_0000_0000_0000;
/// 2^52
const TWO_52: f64 = 4_503_599_627_370_496.0;
/// 2^50, by which limbs are shifted to be balanced around zero.
const HALF_LIMB: u64 = 1 << (LIMB_BITS - 1);
/// What is added to columns so that they are not negative when their carry is cut off.
const LIFT: u64 = 1 << 62;

/// One constant in four lanes.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
struct Four<T>([T; 4]);

/// What a multiplication modulo p reads. The instructions know the order.
#[repr(C, align(32))]
pub(super) struct Constants<C> {
    /// (M + 1)/2^51, M ≡ −1 modulo 2^51. At byte 0.
    near: [Four<f64>; 5],
    /// (M + 1)/2^102, M ≡ −1 modulo 2^102. At byte 160.
    far: [Four<f64>; 5],
    /// p. At byte 320.
    modulus: [Four<f64>; 5],
    /// What the columns begin with. At byte 480.
    columns: [Four<u64>; 10],
    /// C, C + 3·2^51, the mask of a limb, 2^52, 2^52 + 2^50, 3·2^51. At bytes 800 to 960.
    hi: Four<u64>,
    hi_lo: Four<u64>,
    mask: Four<u64>,
    two_52: Four<f64>,
    balance: Four<f64>,
    lo: Four<u64>,
    /// −1/p modulo 2^51. At byte 992.
    inverse: Four<f64>,
    config: std::marker::PhantomData<C>,
}

impl<C: MontConfig<4>> Constants<C> {
    pub(super) const TABLE: &'static Constants<C> = &Constants {
        near: four(multiple_up::<C>(1)),
        far: four(multiple_up::<C>(2)),
        modulus: four(balanced(limbs_of(C::MODULUS.0))),
        columns: columns(),
        hi: Four([HI; 4]),
        hi_lo: Four([HI + 3; 4]),
        mask: Four([LIMB; 4]),
        two_52: Four([TWO_52; 4]),
        balance: Four([TWO_52 + HALF_LIMB as f64; 4]),
        lo: Four([LO; 4]),
        inverse: Four([balanced([C::INV & LIMB, 0, 0, 0, 0])[0]; 4]),
        config: std::marker::PhantomData,
    };
}

const fn four(x: [f64; 5]) -> [Four<f64>; 5] {
    [Four([x[0]; 4]), Four([x[1]; 4]), Four([x[2]; 4]), Four([x[3]; 4]), Four([x[4]; 4])]
}

/// (M + 1)/2^(51·limbs) for the M ≡ −1 modulo 2^(51·limbs) of least magnitude that p divides; limbs is 1 or 2.
const fn multiple_up<C: MontConfig<4>>(limbs: usize) -> [f64; 5] {
    let bits = LIMB_BITS * limbs as u32;
    let low = C::MODULUS.0[0] as u128 | (C::MODULUS.0[1] as u128) << 64;
    // Newton: the number of right bits doubles each time, from 3.
    let mut inverse = low;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2u128.wrapping_sub(low.wrapping_mul(inverse)));
        step += 1;
    }
    let mut factor = inverse.wrapping_neg() & ((1 << bits) - 1);
    let negative = factor >> (bits - 1) != 0;
    if negative {
        factor = (1 << bits) - factor;
    }
    // |M|, of which the low limbs are all ones, or 1 if M is negative.
    let p = limbs_of(C::MODULUS.0);
    let factor = [factor as u64 & LIMB, (factor >> LIMB_BITS) as u64];
    let mut product = [0u64; 7];
    let mut row = 0;
    while row < 2 {
        let mut carry = 0;
        let mut i = 0;
        while i < 5 {
            carry += p[i] as u128 * factor[row] as u128 + product[row + i] as u128;
            product[row + i] = carry as u64 & LIMB;
            carry >>= LIMB_BITS;
            i += 1;
        }
        product[row + 5] = carry as u64;
        row += 1;
    }
    let mut up = [0; 5];
    let mut i = 0;
    while i < 5 {
        up[i] = product[limbs + i];
        i += 1;
    }
    if !negative {
        up[0] += 1;
    }
    let mut out = balanced(up);
    if negative {
        let mut i = 0;
        while i < 5 {
            out[i] = -out[i];
            i += 1;
        }
    }
    out
}

/// What a column begins with: the constants of all that is added to it, negated; 2^62 if a carry is cut off, and −2^11 for
/// the column before's; 2^50 if its limb is to be balanced; the last is read as a double.
const fn columns() -> [Four<u64>; 10] {
    // How many low and high halves come to each column.
    let (mut low, mut high) = ([0; 12], [0; 12]);
    let mut row = 0;
    while row < 5 {
        let up = if row < 3 { 2 } else { 4 - row };
        let mut i = 0;
        while i < 5 {
            low[row + i] += 1;
            high[row + i + 1] += 1;
            // In the last row the lowest products are added up as doubles.
            if row < 4 || i > 0 {
                low[row + up + i] += 1;
            }
            high[row + up + i + 1] += 1;
            i += 1;
        }
        row += 1;
    }
    let mut out = [Four([0; 4]); 10];
    let mut at = 0;
    while at < 10 {
        let mut start = 0u64.wrapping_sub(LO.wrapping_mul(low[at])).wrapping_sub(HI.wrapping_mul(high[at]));
        if at < 9 {
            start = start.wrapping_add(LIFT);
        }
        if at > 0 {
            start = start.wrapping_sub(LIFT >> LIMB_BITS);
        }
        if at < 9 && at != 4 {
            start = start.wrapping_add(HALF_LIMB);
        }
        if at == 9 {
            start = start.wrapping_add(LO);
        }
        out[at] = Four([start; 4]);
        at += 1;
    }
    out
}

/// Adds factor·[memory] to columns `$low` and `$high`: six instructions.
macro_rules! accumulate {
    ($memory:expr, $factor:literal, $low:literal, $high:literal) => {
        concat!(
            "vmovapd ymm8, ",
            $memory,
            "\n",
            "vfmadd213pd ymm8, ",
            $factor,
            ", ymm11\n",
            "vsubpd ymm9, ymm12, ymm8\n",
            "vpaddq ",
            $high,
            ", ",
            $high,
            ", ymm8\n",
            "vfmadd231pd ymm9, ",
            $factor,
            ", ",
            $memory,
            "\n",
            "vpaddq ",
            $low,
            ", ",
            $low,
            ", ymm9\n",
        )
    };
}

/// Adds factor·limbs to six columns, the limbs from byte `$first` at `$base`.
macro_rules! row {
    ($base:literal, [$($byte:literal),*], $factor:literal, [$($low:literal $high:literal),*]) => {
        concat!($(accumulate!(concat!("[", $base, " + ", $byte, "]"), $factor, $low, $high)),*)
    };
}

/// Adds limb `$byte` of b times a to six columns.
macro_rules! product {
    ($byte:literal, [$($columns:tt)*]) => {
        concat!(
            "vmovapd ymm10, [{b} + ", $byte, "]\n",
            row!("{a}", ["0", "32", "64", "96", "128"], "ymm10", [$($columns)*]),
        )
    };
}

/// Moves a column's carry to the next and makes the column its low limb, as a double, less `$balance`.
macro_rules! digit {
    ($column:literal, $next:literal, $balance:literal) => {
        concat!(
            "vpsrlq ymm8, ",
            $column,
            ", 51\n",
            "vpand ",
            $column,
            ", ",
            $column,
            ", ymm13\n",
            "vpaddq ",
            $next,
            ", ",
            $next,
            ", ymm8\n",
            "vpor ",
            $column,
            ", ",
            $column,
            ", ymm14\n",
            "vsubpd ",
            $column,
            ", ",
            $column,
            ", ",
            $balance,
            "\n",
        )
    };
}

macro_rules! begin {
    ($($byte:literal $column:literal),*) => {
        concat!($("vmovdqa ", $column, ", [{k} + ", $byte, "]\n"),*)
    };
}

/// a·b/2^255 modulo p. Each product of a limb of a and one of b is at most 2^102 in magnitude. The limbs but the last are at
/// most 2^50 in magnitude, and the value is at most |a·b|/2^255 + 1.01·p.
#[inline]
#[target_feature(enable = "avx2,fma")]
#[allow(
    clippy::too_many_lines,
    reason = "one block of instructions, which has no parts that could stand alone"
)]
pub(super) fn multiply<C: MontConfig<4>>(a: &Stored, b: &Stored) -> [__m256d; 5] {
    let (c0, c1, c2, c3, c4): (__m256d, __m256d, __m256d, __m256d, __m256d);
    // Column i is in register i modulo 8, and so is digit i once the column is done. ymm8 and ymm9 are for products, ymm10 is
    // b's limb, ymm11 to ymm15 are C, C + 3·2^51, mask, 2^52, 2^52 + 2^50.
    //
    // SAFETY: the processor has the instructions, as this function's features say. `a` and `b` are read within their 160
    // bytes and the table within its 1024, all aligned to 32 bytes by their types; nothing in memory is written, and
    // every register that changes is named.
    unsafe {
        asm!(
            "vmovapd ymm11, [{k} + 800]",
            "vmovapd ymm12, [{k} + 832]",
            "vmovapd ymm13, [{k} + 864]",
            "vmovapd ymm14, [{k} + 896]",
            "vmovapd ymm15, [{k} + 928]",
            begin!("480" "ymm0", "512" "ymm1", "544" "ymm2", "576" "ymm3", "608" "ymm4", "640" "ymm5"),
            product!("0", ["ymm0" "ymm1", "ymm1" "ymm2", "ymm2" "ymm3", "ymm3" "ymm4", "ymm4" "ymm5"]),
            digit!("ymm0", "ymm1", "ymm15"),
            begin!("672" "ymm6"),
            product!("32", ["ymm1" "ymm2", "ymm2" "ymm3", "ymm3" "ymm4", "ymm4" "ymm5", "ymm5" "ymm6"]),
            digit!("ymm1", "ymm2", "ymm15"),
            begin!("704" "ymm7"),
            row!(
                "{k}", ["160", "192", "224", "256", "288"], "ymm0",
                ["ymm2" "ymm3", "ymm3" "ymm4", "ymm4" "ymm5", "ymm5" "ymm6", "ymm6" "ymm7"]
            ),
            product!("64", ["ymm2" "ymm3", "ymm3" "ymm4", "ymm4" "ymm5", "ymm5" "ymm6", "ymm6" "ymm7"]),
            digit!("ymm2", "ymm3", "ymm15"),
            begin!("736" "ymm0"),
            row!(
                "{k}", ["160", "192", "224", "256", "288"], "ymm1",
                ["ymm3" "ymm4", "ymm4" "ymm5", "ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0"]
            ),
            product!("96", ["ymm3" "ymm4", "ymm4" "ymm5", "ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0"]),
            digit!("ymm3", "ymm4", "ymm15"),
            begin!("768" "ymm1"),
            // What column 4 waits for comes first, and its digit is made while the rest is added.
            accumulate!("[{k} + 0]", "ymm3", "ymm4", "ymm5"),
            accumulate!("[{k} + 160]", "ymm2", "ymm4", "ymm5"),
            "vmovapd ymm10, [{b} + 128]",
            accumulate!("[{a} + 0]", "ymm10", "ymm4", "ymm5"),
            digit!("ymm4", "ymm5", "ymm14"),
            row!(
                "{a}", ["32", "64", "96", "128"], "ymm10",
                ["ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0", "ymm0" "ymm1"]
            ),
            "vmovapd ymm10, ymm4",
            "vfmadd132pd ymm10, ymm11, [{k} + 992]",
            "vsubpd ymm10, ymm11, ymm10",
            "vfmadd231pd ymm10, ymm4, [{k} + 992]",
            row!(
                "{k}", ["192", "224", "256", "288"], "ymm2",
                ["ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0", "ymm0" "ymm1"]
            ),
            row!(
                "{k}", ["32", "64", "96", "128"], "ymm3",
                ["ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0", "ymm0" "ymm1"]
            ),
            // The column's limb and digit·p[0] add up to a multiple of 2^51, exactly.
            "vfmadd231pd ymm4, ymm10, [{k} + 320]",
            "vaddpd ymm4, ymm4, ymm11",
            "vpaddq ymm5, ymm5, ymm4",
            row!(
                "{k}", ["352", "384", "416", "448"], "ymm10",
                ["ymm5" "ymm6", "ymm6" "ymm7", "ymm7" "ymm0", "ymm0" "ymm1"]
            ),
            digit!("ymm5", "ymm6", "ymm15"),
            digit!("ymm6", "ymm7", "ymm15"),
            digit!("ymm7", "ymm0", "ymm15"),
            digit!("ymm0", "ymm1", "ymm15"),
            "vsubpd ymm1, ymm1, [{k} + 960]",
            a = in(reg) a,
            b = in(reg) b,
            k = in(reg) Constants::<C>::TABLE,
            out("ymm0") c3,
            out("ymm1") c4,
            out("ymm2") _,
            out("ymm3") _,
            out("ymm4") _,
            out("ymm5") c0,
            out("ymm6") c1,
            out("ymm7") c2,
            out("ymm8") _,
            out("ymm9") _,
            out("ymm10") _,
            out("ymm11") _,
            out("ymm12") _,
            out("ymm13") _,
            out("ymm14") _,
            out("ymm15") _,
            options(pure, readonly, nostack, preserves_flags),
        );
    }
    [c0, c1, c2, c3, c4]
}
