/// Every type of PostgreSQL with its edges, and what becomes of them (contract of the row).
package enum PostgresTypes {
    package static let scalars: [TypeExample] = [
        .init("boolean", "true", "true", "BOOL"), .init("boolean", "false", "false", "BOOL"),
        .init("smallint", "-32768", "-32768", "INT64"), .init("integer", "2147483647", "2147483647", "INT64"),
        .init("bigint", "9007199254740991", "9007199254740991", "INT64"),
        .init("bigint", "9007199254740992", #""9007199254740992""#, "INT64_LARGE"),
        .init("bigint", "-9223372036854775808", #""-9223372036854775808""#, "INT64_LARGE"),
        .init("real", "0.1", "0.1", "FLOAT64"), .init("real", "16777216", "16777216.0", "FLOAT64"),
        .init("real", "3.4028235e38", "3.4028235e+38", "FLOAT64"), .init("real", "'NaN'", #""NaN""#, "FLOAT64"),
        .init("double precision", "0.1", "0.1", "FLOAT64"), .init("double precision", "1", "1.0", "FLOAT64"),
        .init("double precision", "1e21", "1e+21", "FLOAT64"), .init("double precision", "'-0'", "-0.0", "FLOAT64"),
        .init("double precision", "5e-324", "5e-324", "FLOAT64"),
        .init("double precision", "1.7976931348623157e308", "1.7976931348623157e+308", "FLOAT64"),
        .init("double precision", "'Infinity'", #""Infinity""#, "FLOAT64"),
        .init("double precision", "'-Infinity'", #""-Infinity""#, "FLOAT64"),
        .init("numeric(10,2)", "1.1", #""1.10""#, "NUMERIC"),
        .init("numeric(38,9)", "-0.000000001", #""-0.000000001""#, "NUMERIC"),
        .init("numeric(39,9)", "1", #""1.000000000""#, "BIGNUMERIC"),
        .init("numeric(5,-2)", "12345", #""12300""#, "NUMERIC"),
        .init("numeric", "1.10", #""1.10""#, "BIGNUMERIC"),
        .init("numeric", "'1e20'", #""100000000000000000000""#, "BIGNUMERIC"),
        .init(
            "numeric", "578960446186580977117854925043439539266.34992332820282019728792003956564819967",
            #""578960446186580977117854925043439539266.34992332820282019728792003956564819967""#, "BIGNUMERIC"),
        .init(
            "numeric", "'578960446186580977117854925043439539266.34992332820282019728792003956564819968'",
            rescued: "578960446186580977117854925043439539266.34992332820282019728792003956564819968"),
        .init(
            "numeric", "-578960446186580977117854925043439539266.34992332820282019728792003956564819968",
            #""-578960446186580977117854925043439539266.34992332820282019728792003956564819968""#, "BIGNUMERIC"),
        .init("numeric", "'1e39'", rescued: "1000000000000000000000000000000000000000"),
        .init("numeric", "'NaN'", rescued: "NaN"), .init("numeric(10,2)", "'NaN'", rescued: "NaN"),
        .init("numeric", "'Infinity'", rescued: "Infinity"),
        .init("date", "'2025-11-25'", #""2025-11-25""#, "DATE"),
        .init("date", "'0001-01-01'", #""0001-01-01""#, "DATE"),
        .init("date", "'9999-12-31'", #""9999-12-31""#, "DATE"), .init("date", "'10000-01-01'", rescued: "10000-01-01"),
        .init("date", "'0044-03-15 BC'", rescued: "0044-03-15 BC"), .init("date", "'infinity'", rescued: "infinity"),
        .init("time", "'14:57:57.425'", #""14:57:57.425""#, "TIME"), .init("time", "'00:00'", #""00:00:00""#, "TIME"),
        .init("time", "'23:59:59.999999'", #""23:59:59.999999""#, "TIME"),
        .init("time", "'24:00'", rescued: "24:00:00"),
        .init("timetz", "'14:57+02'", #""14:57:00+02""#, "STRING"),
        .init("timestamp", "'2025-11-25 14:57:57.425'", #""2025-11-25T14:57:57.425""#, "DATETIME"),
        .init("timestamp", "'0001-01-01'", #""0001-01-01T00:00:00""#, "DATETIME"),
        .init("timestamp", "'-infinity'", rescued: "-infinity"),
        .init("timestamp", "'10000-01-01'", rescued: "10000-01-01 00:00:00"),
        .init("timestamptz", "'2025-11-25 16:57:57.425123+02'", #""2025-11-25T14:57:57.425123Z""#, "TIMESTAMP"),
        .init("timestamptz", "'9999-12-31 23:59:59.999999Z'", #""9999-12-31T23:59:59.999999Z""#, "TIMESTAMP"),
        .init("timestamptz", "'infinity'", rescued: "infinity"),
        .init("timestamptz", "'0001-01-01 00:00:00+00 BC'", rescued: "0001-01-01 00:00:00+00 BC"),
        .init("bytea", "'\\x'", #""""#, "BYTES"), .init("bytea", "'\\x00ff'", #""AP8=""#, "BYTES"),
        .init("bytea", "'\\x616263'", #""YWJj""#, "BYTES"), .init("bytea", "'\\x61626364'", #""YWJjZA==""#, "BYTES"),
        .init("text", "E'a\\tb\\\\c\\n\"\\r\\b\\f\\x0b\\x01'", #""a\tb\\c\n\"\r\b\f\u000b\u0001""#, "STRING"),
        .init("text", "'äöü 😀 \u{2028}'", "\"äöü 😀 \u{2028}\"", "STRING"), .init("text", "''", #""""#, "STRING"),
        .init("text", "'\\N'", #""\\N""#, "STRING"), .init("text", "'NULL'", #""NULL""#, "STRING"),
        .init("char(4)", "'ab'", #""ab  ""#, "STRING"), .init("varchar(4)", "'ab'", #""ab""#, "STRING"),
        .init("name", "'n'", #""n""#, "STRING"), .init("\"char\"", "'x'", #""x""#, "STRING"),
        .init("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", #""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#, "STRING"),
        .init("mood", "'so so'", #""so so""#, "STRING"),
        .init("interval", "'1 year 2 days 03:04:05.6'", #""1 year 2 days 03:04:05.6""#, "STRING"),
        .init("inet", "'10.0.0.1/8'", #""10.0.0.1/8""#, "STRING"),
        .init("cidr", "'10.0.0.0/8'", #""10.0.0.0/8""#, "STRING"),
        .init("macaddr", "'08:00:2b:01:02:03'", #""08:00:2b:01:02:03""#, "STRING"),
        .init("bit(3)", "B'101'", #""101""#, "STRING"), .init("varbit", "B'1'", #""1""#, "STRING"),
        .init("money", "'1234.5'", #""$1,234.50""#, "STRING"), .init("oid", "4294967295", #""4294967295""#, "STRING"),
        .init("point", "'(1.5,2)'", #""(1.5,2)""#, "STRING"), .init("int4range", "'[1,5)'", #""[1,5)""#, "STRING"),
        .init("int4multirange", "'{[1,5)}'", #""{[1,5)}""#, "STRING"),
        .init("tsvector", "'a b'", #""'a' 'b'""#, "STRING"),
        .init("xml", "'<a/>'", #""<a/>""#, "STRING"), .init("int2vector", "'1 2'", #""1 2""#, "STRING"),
        .init("email", "'a@b'", #""a@b""#, "STRING"), .init("price", "'2.5'", #""2.50""#, "NUMERIC"),
        .init("price2", "'2.5'", #""2.50""#, "NUMERIC"), .init("hstore", "'a=>1'", #""\"a\"=>\"1\"""#, "STRING"),
        .init("citext", "'Ab'", #""Ab""#, "STRING"), .init("integer", "NULL", "null", "NULL"),
    ]

    package static let nested: [TypeExample] = [
        .nested(
            "json", #"'{ "b" : 1.50, "a":[ 1 ,2e3 ], "a" : {"z":"\u00e4\/","y":null} }'"#,
            #"{"a":{"y":null,"z":"ä/"},"b":1.50}"#),
        .nested("jsonb", #"'{"bb":1,"a":"x\ty","ä":true}'"#, #"{"a":"x\ty","bb":1,"ä":true}"#),
        .nested("jsonb", "'12345678901234567890.123'", "12345678901234567890.123"), .nested("jsonb", "'null'", "null"),
        .nested("json", #"'"text"'"#, #""text""#), .nested("json", "'[]'", "[]"), .nested("json", "'{}'", "{}"),
        .init("json", #"'"\ud800"'"#, rescued: #""\ud800""#),
        .nested("integer[]", "'{1,NULL,3}'", "[1,null,3]"), .nested("integer[]", "'{}'", "[]"),
        .nested("integer[]", "'[0:1]={1,2}'", "[1,2]"), .nested("integer[]", "'{{1,2},{3,4}}'", "[[1,2],[3,4]]"),
        .nested("bigint[]", "'{9007199254740993}'", #"["9007199254740993"]"#),
        .nested("numeric(10,2)[]", "'{1.1,NaN}'", #"["1.10","NaN"]"#),
        .nested("real[]", "'{0.1,NaN}'", #"[0.1,"NaN"]"#), .nested("boolean[]", "'{t,f}'", "[true,false]"),
        .nested(
            "text[]", #"ARRAY['a,b', 'c"d', 'e\f', '', 'NULL', NULL, '{x}', ' sp ', 'ä']"#,
            #"["a,b","c\"d","e\\f","","NULL",null,"{x}"," sp ","ä"]"#),
        .nested(
            "timestamptz[]", "ARRAY['2025-01-01 00:00Z'::timestamptz, 'infinity']",
            #"["2025-01-01T00:00:00Z","infinity"]"#),
        .nested("bytea[]", #"ARRAY['\x00ff'::bytea]"#, #"["AP8="]"#),
        .nested("jsonb[]", #"ARRAY['{"b":1,"a":2}'::jsonb]"#, #"[{"a":2,"b":1}]"#),
        .nested("box[]", "ARRAY['(1,1),(0,0)'::box, '(2,2),(0,0)']", #"["(1,1),(0,0)","(2,2),(0,0)"]"#),
        .nested(
            "address", #"ROW('Main "St", 1', NULL, ARRAY[1,2], ROW('x', 1.5))"#,
            #"{"inner":{"n":"1.50","t":"x"},"numbers":[1,2],"street":"Main \"St\", 1","zip":null}"#),
        .nested("address", "ROW('', '', NULL, NULL)", #"{"inner":null,"numbers":null,"street":"","zip":""}"#),
        .nested(
            "address[]", #"ARRAY[ROW('a\b', 'c', NULL, NULL)::address]"#,
            #"[{"inner":null,"numbers":null,"street":"a\\b","zip":"c"}]"#),
        .nested("prices", "ARRAY[1.5::price, NULL]", #"["1.50",null]"#),
    ]

    /// Types of its own that the examples use.
    package static let definitions = """
        CREATE EXTENSION hstore; CREATE EXTENSION citext;
        CREATE TYPE mood AS ENUM ('sad', 'so so'); CREATE DOMAIN email AS text CHECK (value LIKE '%@%');
        CREATE DOMAIN price AS numeric(12,2); CREATE DOMAIN price2 AS price; CREATE DOMAIN prices AS price[];
        CREATE TYPE inner_part AS (t text, n numeric(5,2));
        CREATE TYPE address AS (street text, zip text, numbers integer[], "inner" inner_part);
        """
}
