//! Members of a transfer's row as they are written, and those that changed. There are hundreds of rows in each frame, of which
//! a number changes: they are compared where they are.

use serde_json::{Map, Value};

use super::state::{TransferRow, UploadRow};

/// A member; what is `None` is absent.
#[derive(Clone, Copy)]
enum Member<'a> {
    Number(Option<u64>),
    Text(Option<&'a str>),
    Upload(Option<&'a UploadRow>),
}

impl Member<'_> {
    fn to_value(self) -> Value {
        match self {
            Self::Number(number) => number.into(),
            Self::Text(text) => text.into(),
            Self::Upload(row) => row.map_or(Value::Null, |row| object(row.members())),
        }
    }

    /// What makes this of `old` in a merge patch; `None` if they are the same.
    fn patch_of(self, old: Self) -> Option<Value> {
        match (old, self) {
            (Self::Number(old), Self::Number(new)) => (old != new).then(|| new.into()),
            (Self::Text(old), Self::Text(new)) => (old != new).then(|| new.into()),
            (Self::Upload(Some(old)), Self::Upload(Some(new))) => patch(old.members(), new.members()),
            (Self::Upload(None), Self::Upload(None)) => None,
            _ => Some(self.to_value()),
        }
    }
}

fn object<const N: usize>(members: [(&str, Member<'_>); N]) -> Value {
    let members = members.map(|(name, member)| (name, member.to_value())).into_iter();
    let present = members.filter(|(_, value)| !value.is_null());
    Value::Object(present.map(|(name, value)| (name.to_owned(), value)).collect())
}

fn patch<const N: usize>(old: [(&str, Member<'_>); N], new: [(&str, Member<'_>); N]) -> Option<Value> {
    let changed =
        old.into_iter().zip(new).filter_map(|((_, old), (name, new))| Some((name, new.patch_of(old)?)));
    let changed: Map<String, Value> = changed.map(|(name, value)| (name.to_owned(), value)).collect();
    (!changed.is_empty()).then_some(Value::Object(changed))
}

impl TransferRow {
    fn members(&self) -> [(&'static str, Member<'_>); 13] {
        [
            ("connection", Member::Number(Some(self.connection))),
            ("client", Member::Text(Some(&self.client))),
            ("class", Member::Text(self.class.as_deref())),
            ("route", Member::Text(self.route.as_deref())),
            ("method", Member::Text(Some(&self.method))),
            ("target", Member::Text(Some(&self.target))),
            ("status", Member::Number(self.status.map(u64::from))),
            ("length", Member::Number(self.length)),
            ("bytes", Member::Number(Some(self.bytes))),
            ("rate_set", Member::Number(self.rate_set)),
            ("held_by", Member::Text(Some(&self.held_by))),
            ("limit", Member::Text(self.limit.as_deref())),
            ("upload", Member::Upload(self.upload.as_ref())),
        ]
    }

    /// All of it, without members that are absent.
    pub(super) fn to_value(&self) -> Value {
        object(self.members())
    }

    /// The merge patch that makes this of `old`; `None` if they are the same.
    pub(super) fn patch_of(&self, old: &Self) -> Option<Value> {
        patch(old.members(), self.members())
    }
}

impl UploadRow {
    fn members(&self) -> [(&'static str, Member<'_>); 5] {
        [
            ("length", Member::Number(self.length)),
            ("bytes", Member::Number(Some(self.bytes))),
            ("rate_set", Member::Number(self.rate_set)),
            ("held_by", Member::Text(Some(&self.held_by))),
            ("limit", Member::Text(self.limit.as_deref())),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn upload(bytes: u64, limit: Option<&str>) -> UploadRow {
        let limit = limit.map(str::to_owned);
        UploadRow { length: Some(9), bytes, rate_set: None, held_by: "upload".to_owned(), limit }
    }

    fn row(bytes: u64, status: Option<u16>, upload: Option<UploadRow>) -> TransferRow {
        TransferRow {
            connection: 7,
            client: "127.0.0.1".to_owned(),
            class: None,
            route: Some("/".to_owned()),
            method: "PUT".to_owned(),
            target: "/a".to_owned(),
            status,
            length: None,
            bytes,
            rate_set: Some(1000),
            held_by: "pace".to_owned(),
            limit: None,
            upload,
        }
    }

    #[test]
    fn absent_members_are_not_written() {
        let whole = json!({
            "connection": 7, "client": "127.0.0.1", "route": "/", "method": "PUT", "target": "/a", "bytes": 0,
            "rate_set": 1000, "held_by": "pace", "upload": {"length": 9, "bytes": 3, "held_by": "upload"},
        });
        assert_eq!(row(0, None, Some(upload(3, None))).to_value(), whole);
    }

    #[test]
    fn a_patch_has_what_changed_and_null_for_what_went() {
        let old = row(0, None, Some(upload(3, Some("/v1/limits/x"))));
        assert_eq!(old.patch_of(&row(0, None, Some(upload(3, Some("/v1/limits/x"))))), None);
        let new = row(5, Some(200), Some(upload(4, None)));
        let expected = json!({"bytes": 5, "status": 200, "upload": {"bytes": 4, "limit": null}});
        assert_eq!(new.patch_of(&old), Some(expected));
        assert_eq!(row(0, None, None).patch_of(&old), Some(json!({"upload": null})));
        let whole = json!({"upload": {"length": 9, "bytes": 3, "held_by": "upload"}});
        assert_eq!(row(0, None, Some(upload(3, None))).patch_of(&row(0, None, None)), Some(whole));
    }
}
