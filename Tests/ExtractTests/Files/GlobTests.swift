import Testing

@testable import Extract

struct GlobTests {
    @Test(arguments: [
        ("orders/*.csv", "orders/1.csv", true), ("orders/*.csv", "orders/a/1.csv", false),
        ("orders/*.csv", "orders/.csv", true), ("orders/*.csv", "orders/1.csv.gz", false),
        ("**/*.csv", "1.csv", true), ("**/*.csv", "a/b/1.csv", true), ("**/*.csv", "a/b/1csv", false),
        ("a/**/z", "a/z", true), ("a/**/z", "a/b/c/z", true), ("a/**/z", "az", false), ("a/**/z", "a/bz", false),
        ("a/**", "a/b/c", true), ("a/**", "a/", true), ("a/**", "a", false), ("a**z", "a/b/z", true),
        ("?.csv", "1.csv", true), ("?.csv", "12.csv", false), ("?.csv", "/.csv", false), ("?", "ä", true),
        ("{a,b}/*.{csv,jsonl}", "b/x.jsonl", true), ("{a,b}/*.{csv,jsonl}", "c/x.csv", false),
        ("{a,b{1,2}}", "b2", true), ("{a,b{1,2}}", "b", false), ("{,x}a", "a", true),
        ("[a].csv", "[a].csv", true), ("[a].csv", "a.csv", false), ("100%.csv", "100%.csv", true),
        ("*****", "", true), ("", "", true), ("", "a", false),
        ("*a*a*a*a*a*a*a*a*a*b", String(repeating: "a", count: 200), false),
    ])
    func `patterns match whole names`(pattern: String, name: String, matches: Bool) throws {
        #expect(try Glob(pattern).matches(name) == matches)
    }

    @Test(arguments: [
        ("orders/2024-*.csv", "orders/2024-"), ("{orders,other}/*.csv", "o"), ("a/b.csv", "a/b.csv"), ("**/a", ""),
        ("a{b,b}c", "abc"), ("a/**/b", "a/"),
    ])
    func `the listing is asked for what every match begins with`(pattern: String, prefix: String) throws {
        #expect(try Glob(pattern).prefix == prefix)
    }

    @Test(arguments: ["{a,b", "a{", "{{a}", String(repeating: "{a,b}", count: 11)])
    func `a pattern that can't be meant is refused`(pattern: String) {
        #expect(throws: ExtractError.self) { try Glob(pattern) }
    }
}
