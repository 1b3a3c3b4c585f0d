import Foundation

/// A certificate authority of the tests, a server's certificate for 127.0.0.1 signed by it, and a second authority that signed nothing.
package struct TestAuthority: Sendable {
    package let certificate: String
    package let stranger: String
    package let serverCertificate: String
    package let serverKey: String

    /// - Parameter owner: who may read the key.
    init(in folder: String, owner: String) throws {
        func openssl(_ arguments: String...) throws { try ChildProcess.run(["openssl"] + arguments) }
        func path(_ name: String) -> String { folder + "/" + name }
        for name in ["ca", "stranger"] {
            try openssl(
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=etlctl test \(name)",
                "-keyout", path(name + ".key"), "-out", path(name + ".pem"))
        }
        try openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-keyout", path("server.key"), "-out",
            path("server.csr"))
        try "subjectAltName=IP:127.0.0.1\n".write(toFile: path("names"), atomically: false, encoding: .utf8)
        try openssl(
            "x509", "-req", "-in", path("server.csr"), "-CA", path("ca.pem"), "-CAkey", path("ca.key"),
            "-CAcreateserial", "-days", "2", "-extfile", path("names"), "-out", path("server.pem"))
        try ChildProcess.run(["chmod", "600", path("server.key")])
        if getuid() == 0 { try ChildProcess.run(["chown", owner, path("server.key")]) }
        certificate = path("ca.pem")
        stranger = path("stranger.pem")
        serverCertificate = path("server.pem")
        serverKey = path("server.key")
    }
}
