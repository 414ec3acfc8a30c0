//! Defaults that differ between dialects.

use super::kind::Dialect;

/// A default for each dialect.
///
/// A default never changes once it is released: a saved configuration that leaves a parameter out relies on it. Those of
/// the Airbyte dialects are what `airbyte/source-s3` 4.16 does (for version 3: what its migration writes); those of the
/// flat form are its specification; those of the Fivetran-style form follow Fivetran's documentation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PerDialect<T> {
    airbyte: T,
    airbyte_v3: T,
    flat: T,
    fivetran: T,
}

impl<T: Copy> PerDialect<T> {
    /// The same default in all dialects.
    pub(crate) const fn same(value: T) -> Self {
        Self { airbyte: value, airbyte_v3: value, flat: value, fivetran: value }
    }

    /// Another default in version 3 of Airbyte's form.
    pub(crate) const fn airbyte_v3(self, airbyte_v3: T) -> Self {
        Self { airbyte_v3, ..self }
    }

    /// Another default in the flat form.
    pub(crate) const fn flat(self, flat: T) -> Self {
        Self { flat, ..self }
    }

    /// Another default in the Fivetran-style form.
    pub(crate) const fn fivetran(self, fivetran: T) -> Self {
        Self { fivetran, ..self }
    }

    /// The default in a dialect.
    pub(crate) const fn of(&self, dialect: Dialect) -> T {
        match dialect {
            Dialect::Airbyte => self.airbyte,
            Dialect::AirbyteV3 => self.airbyte_v3,
            Dialect::Flat => self.flat,
            Dialect::Fivetran => self.fivetran,
        }
    }
}
