// swift-tools-version:6.1
import PackageDescription

// CI sets ETLCTL_STRICT: warnings are errors there, while a newer compiler's warnings never stop a user's build.
let strict = Context.environment["ETLCTL_STRICT"] != nil
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("MemberImportVisibility"),
        // Every access to a stored property of a class costs a check at run time otherwise, which rows by the million feel. Debug builds, and with
        // them all tests, check it.
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release)),
    ] + (strict ? [.unsafeFlags(["-warnings-as-errors"])] : [])

/// The rooms, with what each may import (docs/architecture.md). Extract and Ship never import each other.
let rooms: [Target] = [
    .target(name: "JSONBytes", swiftSettings: settings),
    .target(
        name: "Spool",
        dependencies: [
            .product(name: "GRDB", package: "GRDB.swift"),
            .product(name: "GRDBSQLite", package: "GRDB.swift"),
            "CDeflate",
        ],
        exclude: ["CDeflate"],
        swiftSettings: settings),
    .target(
        name: "Transport",
        dependencies: ["JSONBytes", "CCurl", "COpenSSL"],
        exclude: ["CCurl", "COpenSSL"],
        swiftSettings: settings),
    .target(
        name: "Extract",
        dependencies: [
            "JSONBytes", "Spool", "Transport", "CLibpq", "CMariaDB", "CZlib", "CZstd", "CSnappy", "CLZ4", "CBrotli",
        ],
        exclude: [
            "Postgres/CLibpq", "MySQL/CMariaDB", "Files/CZlib", "Files/CZstd", "Files/CSnappy", "Files/CLZ4",
            "Files/CBrotli",
        ],
        swiftSettings: settings),
    .target(
        name: "Ship",
        dependencies: ["JSONBytes", "Spool", "Transport", "CDeflate"],
        swiftSettings: settings),
    .target(
        name: "HTTPServer",
        dependencies: ["JSONBytes", "CMicrohttpd"],
        exclude: ["CMicrohttpd"],
        swiftSettings: settings),
    .target(
        name: "Remote",
        dependencies: ["JSONBytes", "Extract", "Spool", "Transport", "CZstd"],
        swiftSettings: settings),
    .target(
        name: "Sandbox",
        dependencies: [
            .product(name: "GRDB", package: "GRDB.swift"),
            .product(name: "GRDBSQLite", package: "GRDB.swift"),
            "JSONBytes", "HTTPServer", "COpenSSL", "CZlib",
        ],
        swiftSettings: settings),
    .executableTarget(
        name: "etlctl",
        dependencies: [
            .product(name: "ArgumentParser", package: "swift-argument-parser"),
            .product(name: "Logging", package: "swift-log"),
            .product(name: "Yams", package: "Yams"),
            "JSONBytes", "Extract", "Spool", "Ship", "Transport", "Remote", "HTTPServer", "Sandbox",
        ],
        swiftSettings: settings),
]

/// C libraries of the distribution: a module map and a shim each, in the folder of the room that owns them.
let systemLibraries: [Target] = [
    .systemLibrary(
        name: "CCurl", path: "Sources/Transport/CCurl", pkgConfig: "libcurl",
        providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(
        name: "COpenSSL", path: "Sources/Transport/COpenSSL", pkgConfig: "libcrypto",
        providers: [.apt(["libssl-dev"])]),
    .systemLibrary(
        name: "CZlib", path: "Sources/Extract/Files/CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .systemLibrary(
        name: "CLibpq", path: "Sources/Extract/Postgres/CLibpq", pkgConfig: "libpq",
        providers: [.apt(["libpq-dev"])]),
    .systemLibrary(
        name: "CMariaDB", path: "Sources/Extract/MySQL/CMariaDB", pkgConfig: "libmariadb",
        providers: [.apt(["libmariadb-dev"])]),
    .systemLibrary(
        name: "CZstd", path: "Sources/Extract/Files/CZstd", pkgConfig: "libzstd", providers: [.apt(["libzstd-dev"])]),
    .systemLibrary(
        name: "CSnappy", path: "Sources/Extract/Files/CSnappy", providers: [.apt(["libsnappy-dev"])]),
    .systemLibrary(
        name: "CLZ4", path: "Sources/Extract/Files/CLZ4", pkgConfig: "liblz4", providers: [.apt(["liblz4-dev"])]),
    .systemLibrary(
        name: "CBrotli", path: "Sources/Extract/Files/CBrotli", pkgConfig: "libbrotlidec",
        providers: [.apt(["libbrotli-dev"])]),
    .systemLibrary(
        name: "CDeflate", path: "Sources/Spool/CDeflate", pkgConfig: "libdeflate",
        providers: [.apt(["libdeflate-dev"])]),
    .systemLibrary(
        name: "CMicrohttpd", path: "Sources/HTTPServer/CMicrohttpd", pkgConfig: "libmicrohttpd",
        providers: [.apt(["libmicrohttpd-dev"])]),
]

let tests: [Target] = [
    .target(
        name: "TestSupport", dependencies: ["JSONBytes", "Spool", "Transport", "Sandbox", "CSpawn"],
        path: "Tests/TestSupport", exclude: ["CSpawn"], swiftSettings: settings),
    .systemLibrary(name: "CSpawn", path: "Tests/TestSupport/CSpawn"),
    .testTarget(name: "JSONBytesTests", dependencies: ["JSONBytes"], swiftSettings: settings),
    .testTarget(
        name: "SpoolTests",
        dependencies: [
            "Spool", "TestSupport", .product(name: "GRDB", package: "GRDB.swift"),
            .product(name: "GRDBSQLite", package: "GRDB.swift"),
        ],
        swiftSettings: settings),
    .testTarget(
        name: "TransportTests", dependencies: ["Transport", "TestSupport", "COpenSSL"], swiftSettings: settings),
    .testTarget(
        name: "ExtractTests",
        dependencies: ["Extract", "Spool", "Transport", "JSONBytes", "Sandbox", "TestSupport"],
        swiftSettings: settings),
    .testTarget(
        name: "ShipTests", dependencies: ["Ship", "Spool", "Sandbox", "Transport", "JSONBytes", "TestSupport"],
        swiftSettings: settings),
    .testTarget(name: "SandboxTests", dependencies: ["Sandbox", "JSONBytes", "TestSupport"], swiftSettings: settings),
    .testTarget(
        name: "etlctlTests",
        dependencies: [
            "etlctl", "JSONBytes", "TestSupport", .product(name: "ArgumentParser", package: "swift-argument-parser"),
        ],
        swiftSettings: settings),
    .testTarget(
        name: "IntegrationTests", dependencies: ["etlctl", "TestSupport", "Sandbox", "JSONBytes", "Transport"],
        swiftSettings: settings),
]

let package = Package(
    name: "etlctl",
    products: [.executable(name: "etlctl", targets: ["etlctl"])],
    dependencies: [
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: rooms + systemLibraries + tests
)
