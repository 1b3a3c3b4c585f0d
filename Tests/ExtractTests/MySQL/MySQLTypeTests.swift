import Foundation
import JSONBytes
import Spool
import TestSupport
import Testing

@testable import Extract

@Suite(.mariaDB) struct MySQLTypeTests {
    static let examples: [TypeExample] = [
        .init("bit(1)", "b'1'", "true", "BOOL"), .init("bit(1)", "b'0'", "false", "BOOL"),
        .init("bit(9)", "b'100000001'", "257", "INT64"),
        .init("bit(63)", "~0 >> 1", #""9223372036854775807""#, "INT64_LARGE"),
        .init("bit(64)", "~0", #""18446744073709551615""#, "NUMERIC"), .init("bit(64)", "b'0'", #""0""#, "NUMERIC"),
        .init("tinyint(1)", "1", "1", "INT64"), .init("boolean", "true", "1", "INT64"),
        .init("tinyint", "-128", "-128", "INT64"),
        .init("smallint unsigned", "65535", "65535", "INT64"), .init("mediumint", "-8388608", "-8388608", "INT64"),
        .init("int unsigned", "4294967295", "4294967295", "INT64"), .init("int(6) zerofill", "42", "42", "INT64"),
        .init("bigint", "9007199254740991", "9007199254740991", "INT64"),
        .init("bigint", "-9223372036854775808", #""-9223372036854775808""#, "INT64_LARGE"),
        .init("bigint unsigned", "7", #""7""#, "NUMERIC"),
        .init("bigint unsigned", "18446744073709551615", #""18446744073709551615""#, "NUMERIC"),
        .init("year", "2025", "2025", "INT64"), .init("year", "0", "0", "INT64"),
        .init("float", "0.1", "0.1", "FLOAT64"), .init("float", "16777216", "16777216.0", "FLOAT64"),
        .init("float", "123456.789", "123456.79", "FLOAT64"), .init("float", "-3.4e38", "-3.4e+38", "FLOAT64"),
        .init("float(7,2)", "1.5", "1.5", "FLOAT64"), .init("float unsigned", "0", "0.0", "FLOAT64"),
        .init("double", "0.1", "0.1", "FLOAT64"), .init("double", "1e21", "1e+21", "FLOAT64"),
        .init("double", "0.1234567890123456789", "0.12345678901234568", "FLOAT64"),
        .init("double", "1.7976931348623157e308", "1.7976931348623157e+308", "FLOAT64"),
        .init("decimal(10,2)", "1.1", #""1.10""#, "NUMERIC"),
        .init("decimal(38,9)", "-0.000000001", #""-0.000000001""#, "NUMERIC"),
        .init("decimal(10,2) unsigned", "1.1", #""1.10""#, "NUMERIC"), .init("decimal(29,0)", "1", #""1""#, "NUMERIC"),
        .init("decimal(30,0)", "1", #""1""#, "BIGNUMERIC"),
        .init("decimal(20,10)", "1", #""1.0000000000""#, "BIGNUMERIC"),
        .init(
            "decimal(65,30)", "12345678901234567890123456789012345.123456789012345678901234567891",
            #""12345678901234567890123456789012345.123456789012345678901234567891""#, "BIGNUMERIC"),
        .init("decimal(65,0)", "1e40", rescued: "10000000000000000000000000000000000000000"),
        .init("date", "'2025-11-25'", #""2025-11-25""#, "DATE"),
        .init("date", "'9999-12-31'", #""9999-12-31""#, "DATE"),
        .init("date", "'0000-00-00'", rescued: "0000-00-00"), .init("date", "'2025-00-00'", rescued: "2025-00-00"),
        .init("date", "'2025-02-31'", rescued: "2025-02-31"), .init("time", "'14:57:57'", #""14:57:57""#, "TIME"),
        .init("time(6)", "'14:57:57.425'", #""14:57:57.425""#, "TIME"),
        .init("time(3)", "'23:59:59.999'", #""23:59:59.999""#, "TIME"),
        .init("time", "'-01:00:00'", rescued: "-01:00:00"), .init("time", "'838:59:59'", rescued: "838:59:59"),
        .init("time", "'24:00:00'", rescued: "24:00:00"),
        .init("datetime", "'2025-11-25 14:57:57'", #""2025-11-25T14:57:57""#, "DATETIME"),
        .init("datetime(6)", "'2025-11-25 14:57:57.425'", #""2025-11-25T14:57:57.425""#, "DATETIME"),
        .init("datetime(6)", "'9999-12-31 23:59:59.999999'", #""9999-12-31T23:59:59.999999""#, "DATETIME"),
        .init("datetime", "'0000-00-00 00:00:00'", rescued: "0000-00-00 00:00:00"),
        .init("timestamp(6) null", "'2025-11-25 14:57:57.425123'", #""2025-11-25T14:57:57.425123Z""#, "TIMESTAMP"),
        .init("timestamp null", "'2025-07-01 00:00:00'", #""2025-07-01T00:00:00Z""#, "TIMESTAMP"),
        .init("timestamp null", "0", rescued: "0000-00-00 00:00:00"),
        .init("binary(3)", "x'00ff'", #""AP8A""#, "BYTES"), .init("varbinary(9)", "x'616263'", #""YWJj""#, "BYTES"),
        .init("blob", "''", #""""#, "BYTES"), .init("longblob", "x'61'", #""YQ==""#, "BYTES"),
        .init("point", "ST_PointFromText('POINT(1 2)', 4326)", #""AQEAAAAAAAAAAADwPwAAAAAAAABA""#, "BYTES"),
        .init("char(4)", "'ab '", #""ab""#, "STRING"), .init("varchar(9)", "'ab '", #""ab ""#, "STRING"),
        .init("text", #"'a\tb\\c\n"\r\0'"#, #""a\tb\\c\n\"\r\u0000""#, "STRING"),
        .init("text", "'😀 ä'", #""😀 ä""#, "STRING"),
        .init("varchar(9) character set latin1", "'ä€'", #""ä€""#, "STRING"),
        .init("varchar(9) character set ucs2", "'ä'", #""ä""#, "STRING"),
        .init("varchar(9) collate utf8mb4_bin", "'B'", #""B""#, "STRING"), .init("longtext", "'x'", #""x""#, "STRING"),
        .init("enum('sad','so so')", "'so so'", #""so so""#, "STRING"),
        .init("set('a','b')", "'b,a'", #""a,b""#, "STRING"),
        .init("uuid", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", #""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#, "STRING"),
        .init("inet6", "'::1'", #""::1""#, "STRING"),
        .init("json", #"'{"b": 1, "a": 2}'"#, #""{\"b\": 1, \"a\": 2}""#, "STRING"),
        .init("int as (1 + 2)", "DEFAULT", "3", "INT64"), .init("int", "NULL", "null", "NULL"),
    ]

    @Test func `every type is what the contract says`() async throws {
        let columns = Self.examples.enumerated().map { "c\($0 + 1000) \($1.type)" }.joined(separator: ", ")
        let values = Self.examples.map(\.sql).joined(separator: ", ")
        let database = try await MariaDBServer.running().database(
            """
            SET sql_mode = 'ALLOW_INVALID_DATES';
            CREATE TABLE matrix (\(columns)) ENGINE=InnoDB; INSERT INTO matrix VALUES (\(values));
            """)
        try await withTemporarySpool { spool in
            try await TypeExample.verify(Self.examples, in: SQLExtraction(database.source(), spool, from: "matrix"))
        }
    }
}
