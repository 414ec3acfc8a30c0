//! Who asks, for the dialects that name it by keys at their root.

use super::place::{self, both};
use super::read::Guarded;
use tollgate_base::connection::Credentials;
use tollgate_base::error::{Error, Result};

/// What is written about who asks. Empty texts count as not written.
pub(super) struct Identity {
    /// The name of the key and what is written there.
    pub(super) access_key_id: (&'static str, Option<Guarded>),
    /// The same of the secret access key.
    pub(super) secret_access_key: (&'static str, Option<Guarded>),
    /// The token of temporary keys.
    pub(super) session_token: Option<Guarded>,
    /// A role to assume.
    pub(super) role_arn: Option<String>,
    /// What the role's owner asked for.
    pub(super) external_id: Option<String>,
    /// The name of the key that asks for unsigned requests, when it does.
    pub(super) anonymous: Option<&'static str>,
}

impl Identity {
    /// The credentials: unsigned, a role, a key pair, or the environment's, whichever is asked for.
    ///
    /// # Errors
    /// Config when two are asked for, or half of one.
    pub(super) fn credentials(self) -> Result<Credentials> {
        let given = |secret: Option<Guarded>| secret.filter(|secret| !secret.empty());
        let (id_name, id) = self.access_key_id;
        let (secret_name, secret) = self.secret_access_key;
        let keys = both("", (id_name, given(id)), (secret_name, given(secret)))?;
        let token = given(self.session_token);
        let role_arn = self.role_arn.filter(|arn| !arn.trim().is_empty());
        let external_id = self.external_id.filter(|id| !id.is_empty());

        if keys.is_none() && token.is_some() {
            return Err(Error::config(format!("`session_token` is given without `{id_name}` and `{secret_name}`")));
        }
        if role_arn.is_none() && external_id.is_some() {
            return Err(Error::config("`external_id` is given without `role_arn`"));
        }
        if let Some(anonymous) = self.anonymous {
            let other = if keys.is_some() { Some(id_name) } else { role_arn.as_ref().map(|_| "role_arn") };
            return match other {
                Some(other) => Err(exclusive(anonymous, other)),
                None => Ok(Credentials::Anonymous),
            };
        }
        match (keys, role_arn) {
            (Some(_), Some(_)) => Err(exclusive(id_name, "role_arn")),
            (Some((id, secret)), None) => Ok(static_keys(id, secret, token)),
            (None, Some(role_arn)) => {
                Ok(Credentials::AssumeRole { role_arn: place::role_arn(&role_arn, "role_arn")?, external_id })
            }
            (None, None) => Ok(Credentials::DefaultChain),
        }
    }
}

/// A key pair.
pub(super) fn static_keys(id: Guarded, secret: Guarded, token: Option<Guarded>) -> Credentials {
    Credentials::Static {
        access_key_id: id.into_secret().expose().to_owned(),
        secret_access_key: secret.into_secret(),
        session_token: token.filter(|token| !token.empty()).map(Guarded::into_secret),
    }
}

fn exclusive(one: &str, other: &str) -> Error {
    Error::config(format!("`{one}` and `{other}` are both given")).hint("keep the one that is meant")
}
