//! The credentials for requests: keys, a role, those of the environment, or none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{Object, SecretInput, section, tag_of, tagged, without_defaults, wrong};
use crate::provenance::{ProvenanceLog, join};
use tollgate_base::connection::Credentials;
use tollgate_base::error::{Error, Result};

const TAG: &str = "auth_type";

/// `credentials` as version 4.16 of `airbyte/source-s3` writes it.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "auth_type", rename_all = "snake_case")]
pub(crate) enum Authentication {
    #[schemars(title = "IAM User")]
    IamUser(IamUserInput),
    #[schemars(title = "IAM Role")]
    IamRole(IamRoleInput),
    #[schemars(title = "Default AWS Credentials")]
    DefaultCredentials(DefaultCredentialsInput),
    #[schemars(title = "No Authentication")]
    Anonymous(AnonymousInput),
}

/// Authenticate with the access keys of AWS or of an S3-compatible server.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct IamUserInput {
    /// The access key ID.
    #[schemars(title = "AWS Access Key ID")]
    aws_access_key_id: SecretInput,
    /// The secret access key.
    #[schemars(title = "AWS Secret Access Key")]
    aws_secret_access_key: SecretInput,
    /// The session token of temporary keys. When absent, the keys are permanent.
    #[schemars(title = "AWS Session Token")]
    aws_session_token: Option<SecretInput>,
}

/// Authenticate by assuming an IAM role with the credentials of the environment.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct IamRoleInput {
    /// The ARN of the role. Its owner can require an external ID: on Airbyte it is the ID of the workspace.
    #[schemars(title = "AWS Role ARN")]
    role_arn: String,
    /// The external ID that the owner of the role requires. When absent, it is the ID that the platform sets in the
    /// environment, if any.
    #[schemars(title = "External ID")]
    external_id: Option<String>,
}

/// Use the credentials of the environment: variables, profile, web identity, container or instance role.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct DefaultCredentialsInput {}

/// Send unsigned requests, which public buckets allow.
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct AnonymousInput {}

/// Reads `credentials`.
///
/// # Errors
/// Config, naming the key.
pub(crate) fn authentication(object: &Object, log: &mut ProvenanceLog) -> Result<Credentials> {
    let path = "credentials";
    let empty =
        |key: &str| Error::config(format!("`{path}.{key}` is empty")).hint("set it, or choose another `auth_type`");
    match tag_of(object, path, TAG, &["iam_user", "iam_role", "default_credentials", "anonymous"])? {
        "iam_user" => {
            let user: IamUserInput = section(object, path, &[TAG], log)?;
            if user.aws_access_key_id.empty() {
                return Err(empty("aws_access_key_id"));
            }
            if user.aws_secret_access_key.empty() {
                return Err(empty("aws_secret_access_key"));
            }
            Ok(static_keys(user.aws_access_key_id, user.aws_secret_access_key, user.aws_session_token))
        }
        "iam_role" => {
            let IamRoleInput { role_arn, external_id } = section(object, path, &[TAG], log)?;
            if role_arn.trim().is_empty() {
                return Err(empty("role_arn"));
            }
            let external_id = external_id.filter(|id| !id.is_empty());
            let role_arn = self::role_arn(&role_arn, "credentials.role_arn")?;
            Ok(Credentials::AssumeRole { role_arn, external_id })
        }
        "default_credentials" => {
            section::<DefaultCredentialsInput>(object, path, &[TAG], log).map(|_| Credentials::DefaultChain)
        }
        _ => section::<AnonymousInput>(object, path, &[TAG], log).map(|_| Credentials::Anonymous),
    }
}

/// Credentials in the native form: secrets are masked.
pub(crate) fn native(credentials: &Credentials) -> Object {
    match credentials {
        Credentials::Static { access_key_id: _, secret_access_key, session_token } => {
            let user = IamUserInput {
                // The id of a key is masked too.
                aws_access_key_id: SecretInput::from(secret_access_key),
                aws_secret_access_key: SecretInput::from(secret_access_key),
                aws_session_token: session_token.as_ref().map(SecretInput::from),
            };
            tagged(TAG, "iam_user", without_defaults(&user, &["aws_access_key_id", "aws_secret_access_key"]))
        }
        Credentials::AssumeRole { role_arn, external_id } => {
            let role = IamRoleInput { role_arn: role_arn.clone(), external_id: external_id.clone() };
            tagged(TAG, "iam_role", without_defaults(&role, &["role_arn"]))
        }
        Credentials::DefaultChain => tagged(TAG, "default_credentials", Object::new()),
        Credentials::Anonymous => tagged(TAG, "anonymous", Object::new()),
    }
}

/// The credentials, for dialects that have them as parameters at the root. An empty string counts as absent.
pub(crate) struct Identity {
    /// The name of the key and what is written there.
    pub(crate) access_key_id: (&'static str, Option<SecretInput>),
    /// The same of the secret access key.
    pub(crate) secret_access_key: (&'static str, Option<SecretInput>),
    /// The token of temporary keys.
    pub(crate) session_token: Option<SecretInput>,
    /// A role to assume.
    pub(crate) role_arn: Option<String>,
    /// The external ID that the owner of the role requires.
    pub(crate) external_id: Option<String>,
    /// The name of the parameter that requests unsigned access, if it is set.
    pub(crate) anonymous: Option<&'static str>,
}

impl Identity {
    /// The configured credentials: unsigned, a role, a key pair, or those of the environment.
    ///
    /// # Errors
    /// Config if two are configured, or only half of one.
    pub(crate) fn credentials(self) -> Result<Credentials> {
        let (id_name, id) = self.access_key_id;
        let (secret_name, secret) = self.secret_access_key;
        let keys = both("", (id_name, SecretInput::given(id)), (secret_name, SecretInput::given(secret)))?;
        let token = SecretInput::given(self.session_token);
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
                Ok(Credentials::AssumeRole { role_arn: self::role_arn(&role_arn, "role_arn")?, external_id })
            }
            (None, None) => Ok(Credentials::DefaultChain),
        }
    }
}

/// A key pair.
pub(crate) fn static_keys(id: SecretInput, secret: SecretInput, token: Option<SecretInput>) -> Credentials {
    Credentials::Static {
        access_key_id: id.into_secret().expose().to_owned(),
        secret_access_key: secret.into_secret(),
        session_token: SecretInput::given(token).map(SecretInput::into_secret),
    }
}

fn exclusive(one: &str, other: &str) -> Error {
    Error::config(format!("`{one}` and `{other}` are both given")).hint("remove one of them")
}

/// The ARN of a role.
///
/// # Errors
/// Config when it has another shape: a user's ARN, or a name. Servers other than AWS have partitions and accounts of
/// their own, so those are not looked at.
pub(crate) fn role_arn(text: &str, path: &str) -> Result<String> {
    let text = text.trim();
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let fits = match fields.as_slice() {
        ["arn", _, "iam", _, _, resource] => resource.strip_prefix("role/").is_some_and(|name| !name.is_empty()),
        ["arn", _, service, _, _, resource] => !service.is_empty() && !resource.is_empty(),
        _ => false,
    };
    match fits && !text.contains(char::is_whitespace) {
        true => Ok(text.to_owned()),
        false => Err(wrong(path, format!("'{text}'"), "the ARN of a role, `arn:aws:iam::ACCOUNT:role/NAME`")),
    }
}

/// A pair of keys, where both or neither must be there.
///
/// # Errors
/// Config, naming the one that is missing.
pub(crate) fn both<T>(path: &str, first: (&str, Option<T>), second: (&str, Option<T>)) -> Result<Option<(T, T)>> {
    let missing = |absent: &str, present: &str| {
        let (absent, present) = (join(path, absent), join(path, present));
        Err(Error::config(format!("`{present}` is given without `{absent}`")).hint("give both keys, or neither"))
    };
    match (first.1, second.1) {
        (Some(one), Some(two)) => Ok(Some((one, two))),
        (None, None) => Ok(None),
        (Some(_), None) => missing(second.0, first.0),
        (None, Some(_)) => missing(first.0, second.0),
    }
}
