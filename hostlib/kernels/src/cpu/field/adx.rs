//! Multiplication with MULX, ADCX and ADOX: two chains of carries at a time, which compilers do not write.
//!
//! The unsafe code is one block of instructions that reads three arrays of four words and writes registers; it relies on
//! the processor's having the instructions, of which an [`Adx`] is the proof.

use std::arch::asm;

use ark_ff::MontConfig;

use super::{Limbs, Multiplier, multiple};

/// Proof that this processor has BMI2 and ADX.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Adx(());

impl Adx {
    /// Asks the processor.
    pub(in crate::cpu) fn detect() -> Option<Adx> {
        (is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("adx")).then_some(Adx(()))
    }
}

/// The modulus, and −1/p modulo 2^64.
struct Modulus<C>(std::marker::PhantomData<C>);

impl<C: MontConfig<4>> Modulus<C> {
    const WORDS: &'static [u64; 5] =
        &[C::MODULUS.0[0], C::MODULUS.0[1], C::MODULUS.0[2], C::MODULUS.0[3], C::INV];
    const TWICE: &'static [u64; 4] = &multiple::<C>(2);
}

/// t += q·p, t /= 2^64, with q chosen so that it divides; `high` is the word above t.
macro_rules! reduce {
    () => {
        concat!(
            "mov rdx, {t0}\n",
            "imul rdx, [{p} + 32]\n",
            "xor {low:e}, {low:e}\n",
            "mulx {next}, {low}, [{p}]\n",
            "adcx {low}, {t0}\n",
            "mov {t0}, {next}\n",
            "adcx {t0}, {t1}\n",
            "mulx {t1}, {low}, [{p} + 8]\n",
            "adox {t0}, {low}\n",
            "adcx {t1}, {t2}\n",
            "mulx {t2}, {low}, [{p} + 16]\n",
            "adox {t1}, {low}\n",
            "adcx {t2}, {t3}\n",
            "mulx {t3}, {low}, [{p} + 24]\n",
            "adox {t2}, {low}\n",
            "mov {low:e}, 0\n",
            "adcx {t3}, {low}\n",
            "adox {t3}, {high}\n",
        )
    };
}

/// t += a·b[i], into `high` above t.
macro_rules! row {
    ($offset:literal) => {
        concat!(
            "mov rdx, [{b} + ",
            $offset,
            "]\n",
            "xor {low:e}, {low:e}\n",
            "mulx {high}, {low}, [{a}]\n",
            "adox {t0}, {low}\n",
            "adcx {t1}, {high}\n",
            "mulx {high}, {low}, [{a} + 8]\n",
            "adox {t1}, {low}\n",
            "adcx {t2}, {high}\n",
            "mulx {high}, {low}, [{a} + 16]\n",
            "adox {t2}, {low}\n",
            "adcx {t3}, {high}\n",
            "mulx {high}, {low}, [{a} + 24]\n",
            "adox {t3}, {low}\n",
            "mov {low:e}, 0\n",
            "adcx {high}, {low}\n",
            "adox {high}, {low}\n",
        )
    };
}

impl Multiplier for Adx {
    /// As the portable one: rows interleaved with reductions.
    #[inline(always)]
    fn mul<C: MontConfig<4>>(self, a: &Limbs, b: &Limbs) -> Limbs {
        let (t0, t1, t2, t3): (u64, u64, u64, u64);
        // SAFETY: an `Adx` exists only where the instructions do. `a`, `b` and the modulus are read within their four,
        // four and five words; nothing in memory is written, and every register that changes is named.
        unsafe {
            asm!(
                "mov rdx, [{b}]",
                "mulx {t1}, {t0}, [{a}]",
                "mulx {t2}, {low}, [{a} + 8]",
                "add {t1}, {low}",
                "mulx {t3}, {low}, [{a} + 16]",
                "adc {t2}, {low}",
                "mulx {high}, {low}, [{a} + 24]",
                "adc {t3}, {low}",
                "adc {high}, 0",
                reduce!(),
                row!("8"),
                reduce!(),
                row!("16"),
                reduce!(),
                row!("24"),
                reduce!(),
                a = in(reg) a.as_ptr(),
                b = in(reg) b.as_ptr(),
                p = in(reg) Modulus::<C>::WORDS.as_ptr(),
                t0 = out(reg) t0,
                t1 = out(reg) t1,
                t2 = out(reg) t2,
                t3 = out(reg) t3,
                low = out(reg) _,
                high = out(reg) _,
                next = out(reg) _,
                out("rdx") _,
                options(pure, readonly, nostack),
            );
        }
        [t0, t1, t2, t3]
    }

    #[inline(always)]
    fn difference<C: MontConfig<4>>(self, a: &Limbs, b: &Limbs) -> Limbs {
        let [mut t0, mut t1, mut t2, mut t3] = *a;
        // SAFETY: `b` and the modulus are read within their four and five words; nothing in memory is written.
        unsafe {
            asm!(
                "sub {t0}, [{b}]",
                "sbb {t1}, [{b} + 8]",
                "sbb {t2}, [{b} + 16]",
                "sbb {t3}, [{b} + 24]",
                "add {t0}, [{p}]",
                "adc {t1}, [{p} + 8]",
                "adc {t2}, [{p} + 16]",
                "adc {t3}, [{p} + 24]",
                b = in(reg) b.as_ptr(),
                p = in(reg) Modulus::<C>::WORDS.as_ptr(),
                t0 = inout(reg) t0,
                t1 = inout(reg) t1,
                t2 = inout(reg) t2,
                t3 = inout(reg) t3,
                options(pure, readonly, nostack),
            );
        }
        [t0, t1, t2, t3]
    }

    /// Without branches, as below.
    #[inline(always)]
    fn negate_if<C: MontConfig<4>>(self, negative: bool, a: &Limbs) -> Limbs {
        let [mut t0, mut t1, mut t2, mut t3] = C::MODULUS.0;
        // SAFETY: `a` is read within its four words; nothing in memory is written.
        unsafe {
            asm!(
                "sub {t0}, [{a}]",
                "sbb {t1}, [{a} + 8]",
                "sbb {t2}, [{a} + 16]",
                "sbb {t3}, [{a} + 24]",
                "test {negative:e}, {negative:e}",
                "cmovz {t0}, [{a}]",
                "cmovz {t1}, [{a} + 8]",
                "cmovz {t2}, [{a} + 16]",
                "cmovz {t3}, [{a} + 24]",
                a = in(reg) a.as_ptr(),
                negative = in(reg) u32::from(negative),
                t0 = inout(reg) t0,
                t1 = inout(reg) t1,
                t2 = inout(reg) t2,
                t3 = inout(reg) t3,
                options(pure, readonly, nostack),
            );
        }
        [t0, t1, t2, t3]
    }

    /// Without branches, which would be guessed wrong half of the time and which compilers like to make of this.
    #[inline(always)]
    fn reduce<C: MontConfig<4>>(self, a: &Limbs) -> Limbs {
        let [mut t0, mut t1, mut t2, mut t3] = *a;
        for multiple in [Modulus::<C>::TWICE.as_ptr(), Modulus::<C>::WORDS.as_ptr()] {
            // SAFETY: of the multiple of the modulus four words are read, which it has; nothing in memory is written.
            unsafe {
                asm!(
                    "mov {s0}, {t0}",
                    "mov {s1}, {t1}",
                    "mov {s2}, {t2}",
                    "mov {s3}, {t3}",
                    "sub {s0}, [{p}]",
                    "sbb {s1}, [{p} + 8]",
                    "sbb {s2}, [{p} + 16]",
                    "sbb {s3}, [{p} + 24]",
                    "cmovnc {t0}, {s0}",
                    "cmovnc {t1}, {s1}",
                    "cmovnc {t2}, {s2}",
                    "cmovnc {t3}, {s3}",
                    p = in(reg) multiple,
                    t0 = inout(reg) t0,
                    t1 = inout(reg) t1,
                    t2 = inout(reg) t2,
                    t3 = inout(reg) t3,
                    s0 = out(reg) _,
                    s1 = out(reg) _,
                    s2 = out(reg) _,
                    s3 = out(reg) _,
                    options(pure, readonly, nostack),
                );
            }
        }
        [t0, t1, t2, t3]
    }
}
