//! Enumerations whose variants are numbers on the wire.

/// Defines an enumeration with a fixed number per variant, the list of all of them, their names, and the way back
/// from a number.
macro_rules! codes {
    ($(#[$meta:meta])* pub enum $name:ident : $repr:ty { $($(#[$vmeta:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr($repr)]
        pub enum $name { $($(#[$vmeta])* $variant = $value,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The number on the wire.
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// The variant with this number, if there is one.
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code { $($value => Some($name::$variant),)* _ => None }
            }

            /// The name, as written in the interface document.
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => stringify!($variant),)* }
            }
        }
    };
}
pub(crate) use codes;
