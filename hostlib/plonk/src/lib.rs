//! KZG-Plonk over BN254 with logUp lookups, multi-phase challenges and hidden committed columns.
