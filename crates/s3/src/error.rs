//! Converts errors of the SDK into errors that tell users what to do. This is the only place, so the same problem
//! always has the same text.
//!
//! Only codes, messages and request ids leave the SDK's errors, never their `Debug`, which can hold signed headers.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ConnectorError, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::context::{ConnectionContext, RequestTarget};
use super::meter::TooSlow;
use super::service_error::{Answer, request_id, with_request_id};
use tollgate_base::error::{Error, ErrorKind};
use tollgate_cost::usage::Operation;

/// A request's end without a result.
#[derive(Debug)]
pub(super) enum Failure {
    /// A refusal by this program, below the SDK.
    Ours(Error),
    /// The server responded with an error.
    Answer(Answer),
    /// A response that could not be read completely.
    Unreadable { request_id: Option<String>, cause: String },
    /// No answer.
    Network { kind: Network, cause: String },
    /// There are no credentials.
    Credentials { kind: ErrorKind, message: &'static str, cause: String },
    /// The request could not be built.
    Unmade { cause: String },
}

/// Whether another attempt may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retryability {
    /// A retry would fail in the same way.
    Never,
    /// A retry would probably fail.
    Unlikely,
    /// A retry may succeed: the server or the network has a temporary problem.
    Likely,
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Refused,
    UnknownHost,
    Tls,
    Certificate,
    Timeout,
    Other,
}

impl Failure {
    /// Reads an error of the SDK that came after so many attempts.
    pub(super) fn read<E>(error: SdkError<E, HttpResponse>, attempts: u32) -> Self
    where
        E: StdError + ProvideErrorMetadata + Send + Sync + 'static,
    {
        match error {
            SdkError::ServiceError(answer) => Self::Answer(Answer::read(answer.raw(), answer.err())),
            SdkError::ResponseError(answer) => Self::Unreadable {
                request_id: request_id(answer.raw()),
                cause: chain(&SdkError::<E, HttpResponse>::ResponseError(answer)),
            },
            SdkError::TimeoutError(_) => Self::Network { kind: Network::Timeout, cause: chain(&error) },
            other => Self::read_unanswered(other, attempts),
        }
    }

    /// A request whose time was over before it ended.
    pub(super) fn unfinished(timeout: Duration) -> Self {
        Self::Network { kind: Network::Timeout, cause: format!("the request did not finish within {timeout:?}") }
    }

    fn read_unanswered<E>(error: SdkError<E, HttpResponse>, attempts: u32) -> Self
    where
        E: StdError + Send + Sync + 'static,
    {
        if let Some((kind, message)) = credentials_fault(&error) {
            return Self::Credentials { kind, message, cause: without_stderr(chain(&error)) };
        }
        let cause = chain(&error);
        let timeout = matches!(&error, SdkError::DispatchFailure(failure) if failure.is_timeout());
        let kind = if timeout { Network::Timeout } else { network_kind(&error) };
        match ours(error) {
            Some(refusal) => Self::Ours(refusal),
            None if attempts > 0 => Self::Network { kind, cause },
            None => Self::Unmade { cause },
        }
    }

    /// Whether another attempt may help.
    pub(super) fn retryability(&self) -> Retryability {
        match self {
            Self::Answer(answer) if answer.transient() => Retryability::Likely,
            Self::Ours(_) | Self::Answer(_) | Self::Credentials { .. } | Self::Unmade { .. } => Retryability::Never,
            Self::Unreadable { .. } => Retryability::Unlikely,
            Self::Network { kind: Network::Tls | Network::Certificate, .. } => Retryability::Unlikely,
            Self::Network { .. } => Retryability::Likely,
        }
    }

    /// The pause that the server asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// Blots secrets out of every text that a server or a program can put them into.
    pub(super) fn mask(&mut self, secrets: &[String]) {
        let mask = |text: &mut String| {
            for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                if text.contains(secret.as_str()) {
                    *text = text.replace(secret.as_str(), "****");
                }
            }
        };
        match self {
            Self::Ours(_) => {}
            Self::Answer(answer) => {
                mask(&mut answer.code);
                mask(&mut answer.message);
                answer.request_id.iter_mut().chain(&mut answer.region).for_each(mask);
            }
            Self::Unreadable { request_id, cause } => {
                mask(cause);
                request_id.iter_mut().for_each(mask);
            }
            Self::Network { cause, .. } => mask(cause),
            Self::Credentials { cause, .. } | Self::Unmade { cause } => mask(cause),
        }
    }

    /// The region that the server names.
    pub(super) fn region(&self) -> Option<&str> {
        match self {
            Self::Answer(answer) if matches!(answer.status, 301 | 307 | 400 | 403) => answer.region.as_deref(),
            _ => None,
        }
    }

    /// Whether the server was there.
    pub(super) fn answered(&self) -> bool {
        matches!(self, Self::Answer(_) | Self::Unreadable { .. })
    }

    /// The error for the rest of the program.
    pub(super) fn explain(self, target: &RequestTarget<'_>, context: &ConnectionContext<'_>) -> Error {
        let error = match self {
            Self::Ours(error) => error,
            Self::Answer(answer) => answer.explain(target, context),
            Self::Unreadable { request_id, cause } => {
                let error = Error::new(ErrorKind::Transient, "a response of the server cannot be read");
                with_request_id(error.caused_by(cause), request_id.as_deref())
            }
            Self::Network { kind, cause } => unreachable(kind, context).caused_by(cause),
            Self::Credentials { cause, .. } if cause.contains("feature(s) enabled") => {
                let error =
                    Error::new(ErrorKind::Unsupported, "the profile signs in through SSO, which is not supported");
                error.caused_by(cause).hint(
                    "export its keys to the environment (`aws configure export-credentials --format env`), or use a \
                     profile with keys, a role or `credential_process`",
                )
            }
            Self::Credentials { kind, message, cause } => {
                let hint = match kind {
                    ErrorKind::Transient => {
                        "check the credentials provider of the environment: the `credential_process` or the service"
                    }
                    _ if cause.contains(PROCESS) => {
                        "run the `credential_process` of the profile by hand to see what is wrong with it"
                    }
                    _ => "set access keys or a role in the configuration, or provide credentials in the environment",
                };
                Error::new(kind, message).caused_by(cause).hint(hint)
            }
            Self::Unmade { cause } => Error::config(format!("the request cannot be built: {cause}"))
                .hint("check the bucket, the region and the endpoint"),
        };
        let error = error.with("bucket", target.bucket);
        let error = if target.planned.row.operation == Operation::ListObjects {
            if target.key.is_empty() { error } else { error.with("prefix", target.key) }
        } else {
            error.with("key", target.key)
        };
        if context.attempts > 1 { error.with("attempts", context.attempts) } else { error }
    }
}

/// No answer came. An address that never worked is most likely wrong, which a retry does not heal; one that worked is down.
fn unreachable(kind: Network, context: &ConnectionContext<'_>) -> Error {
    let reason = match kind {
        Network::Refused => "the connection was refused",
        Network::UnknownHost => "cannot resolve its host name",
        Network::Tls => "the TLS handshake failed",
        Network::Certificate => "its certificate is not trusted",
        Network::Timeout => "no response arrived in time",
        Network::Other => "the connection was interrupted",
    };
    let never_worked = !context.answered;
    let wrong_address = matches!(kind, Network::Refused | Network::UnknownHost | Network::Tls | Network::Certificate);
    match context.endpoint {
        Some(endpoint) if never_worked && wrong_address => {
            let error = Error::config(format!("the endpoint '{endpoint}' cannot be reached: {reason}"));
            error.hint(match kind {
                Network::Tls => "check whether the endpoint uses `http://` or `https://`",
                Network::Certificate => "set the certificates of a private authority in `ca_bundle` or AWS_CA_BUNDLE",
                _ => "check the host and port of the endpoint, and that this machine can connect to it",
            })
        }
        other => {
            let (who, hint) = match other {
                Some(endpoint) => (
                    format!("the endpoint '{endpoint}'"),
                    "check whether the endpoint is running, and whether it uses `https://`",
                ),
                None => (
                    format!("S3 in region '{}'", context.region),
                    "check the name of the region, and the network, proxy and certificates of this machine",
                ),
            };
            let error = Error::new(ErrorKind::Transient, format!("{who} did not respond: {reason}"));
            if never_worked { error.hint(hint) } else { error }
        }
    }
}

/// The program's own error, if the meter refused the attempt.
fn ours<E: StdError + Send + Sync + 'static>(error: SdkError<E, HttpResponse>) -> Option<Error> {
    let source = error.into_source().ok()?.downcast::<ConnectorError>().ok()?;
    Some(*source.into_source().downcast::<Error>().ok()?)
}

/// What the SDK says of a `credential_process` that fails.
const PROCESS: &str = "external process";

/// Leaves out what a `credential_process` wrote to stderr: traces of such programs have secrets in them.
fn without_stderr(mut cause: String) -> String {
    if let Some(at) = cause.find("Stderr: ") {
        cause.truncate(at);
        cause.push_str("Its stderr output is not shown");
    }
    cause
}

fn credentials_fault(error: &(dyn StdError + 'static)) -> Option<(ErrorKind, &'static str)> {
    let fault = causes(error).find_map(|cause| cause.downcast_ref::<CredentialsError>())?;
    Some(match fault {
        CredentialsError::CredentialsNotLoaded(_) => (ErrorKind::Access, "no credentials were found"),
        CredentialsError::ProviderTimedOut(_) => (
            ErrorKind::Transient,
            "the credentials provider did not respond in \
                                                                         time",
        ),
        CredentialsError::InvalidConfiguration(_) => {
            (ErrorKind::Config, "the credentials of the environment are not usable")
        }
        _ if network_kind(fault) != Network::Other => (ErrorKind::Transient, "the credentials provider failed"),
        _ => (ErrorKind::Access, "the credentials cannot be loaded"),
    })
}

/// Some of these errors have private types, so their words must do.
fn network_kind(error: &(dyn StdError + 'static)) -> Network {
    for cause in causes(error) {
        let text = cause.to_string();
        if text.contains("dns error") || text.contains("failed to lookup address") {
            return Network::UnknownHost;
        }
        if text.contains("certificate") {
            return Network::Certificate;
        }
        if text.contains("corrupt message") || text.contains("tls handshake") {
            return Network::Tls;
        }
        match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => return Network::Refused,
            Some(io::ErrorKind::TimedOut) => return Network::Timeout,
            _ => {}
        }
    }
    Network::Other
}

/// Whether a body was given up since it came too slowly. Its bytes are no progress.
pub(super) fn too_slow(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<TooSlow>())
}

/// An error and its causes. `io::Error` hides the error that it wraps from `source`.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(outer) => outer.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

/// The chain of causes in one line, without repetitions.
pub(super) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut line = String::new();
    for cause in causes(error) {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(if line.is_empty() { "" } else { ": " });
            line.push_str(&text);
        }
    }
    line
}
