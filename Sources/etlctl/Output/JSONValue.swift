import JSONBytes

/// JSON of what commands print: the project's value tree, which keeps the order of members.
typealias JSONValue = JSONBytes.JSONValue

extension JSONValue {
    /// This object with a member added at the end, or changed in place; anything but an object is returned as it is.
    func with(_ name: String, _ value: JSONValue) -> JSONValue {
        guard case .object(var members) = self else { return self }
        if let index = members.firstIndex(where: { $0.name == name }) {
            members[index].value = value
        } else {
            members.append(JSONMember(name, value))
        }
        return .object(members)
    }

    /// Text, or null where there is none.
    static func string(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }

    /// A number, or null where there is none.
    static func int(_ value: Int64?) -> JSONValue { value.map { .number(String($0)) } ?? .null }

    static func int(_ value: Int) -> JSONValue { .number(String(value)) }

    /// A number; JSON has no word for those that are not finite.
    static func double(_ value: Double) -> JSONValue { value.isFinite ? .number(value.description) : .null }
}
