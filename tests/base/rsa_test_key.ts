/** A key of 3072 bits that openssl made, as PKCS #8: making one takes a second. It protects nothing. */
export const RSA_TEST_KEY = Uint8Array.fromBase64(
  "MIIG/gIBADANBgkqhkiG9w0BAQEFAASCBugwggbkAgEAAoIBgQDHciSAl2X4t/vz/HYTikmA7rImLPZAxqNOq+lxwOOUi4waGnXl" +
    "5eElbewX4u6BufdOtxS8yZ/M3y/ZOU61Wbs8jPWwSOQ88ORvZhUbi4uFhOsAFoyTDB2VRw1HtbrfwsiU+1sF0M7b/CIGyu8W6cmR" +
    "/fAga6LYvnr3kwVTu3xeNh2rLX3w44UOeSTG6LvVSGbD5vvLaa5OXnluuKcMgubD+foHIguE5/dF7YpzKJLGMca5L4j7PHgEsezj" +
    "EG7EZUVaO0G6ATd6f/PQN0h7yFfaCzvTEDW/TedWWqdJb++7soc1HFvnuQtdaA0TrfgYZ+PxOjJgT0ZoPbdku1xvixyzeHkDn1ub" +
    "MJDnKZ9Ug7I0DeSgP6Ptd8bdV2ncWgO/oJEXyoQ5bv7fL1FTNHviHAlFRtgBl3IiLBs5yP/hnpMdFMcOX9sJDVSZeqVLsFoD6r+C" +
    "ULMZKowqIGtDEcbnRJqItBIDixRJT1/4z9eUhD8pF0nIVklp9sPeWfsuWVdfJY8CAwEAAQKCAYBNxHH7Og1mx8aUQjKAOAGlJm2M" +
    "eSej5lAzEtE5q66Rc0AzxXGHLPV3NL9EKRY6uxp1NOn/GtcWeUgc+T15dP2PBJ+gFyv3ny5TSYidbvH+I+/F3wT9KVI3rLa+6Vtu" +
    "eHLhtIivYdXm7Q8Pev1y/8G7DTseSRn8TXmBI3CGT6qUyaET5+8diHmPRSlT7defuFVpuZ0gmZp/sFLFG3b3Z+s3KzeUpG+9aP1/" +
    "5LmBYaapZStJdgGBhPh/TClD+FpYdeu9uyBxeIPkw2r082ovmkikdOlgxqJ7+4YEmAjbaF5xG4NGLxxnB72VUUvHyIU7QFQSt1JV" +
    "UQ04m7NIJR7SJQFjwb/qRurZq19NqWxbYyQlvXw8inc2bY+7uSnLNEOS07SIgIuc9E958th++lDXJy+QR/pGRq6H1Q5AIjlbMoXv" +
    "afim6eSpA6arPF4GsYyKPZ1L8VJ3jcWY+y+nf3c4POkJYrMNrNZ7urDZyPV5s8Gc3gvyDPQJCVq23cuAYjZyQfECgcEA+j3Gjco7" +
    "+JydtwaZpXzwe0slnGrasoxCWD7n/E4QXCdGpcxQh4UKwit7nlCSyKtn7UdUowVGpszLsMvgz/avc3/5Gxb1AclccKFbrOICX6gB" +
    "0Kl7Tybij77pHB2ci0Vdr07zb9W8Qhdoi+QsGS6QlwKQWU4yXi/zoeSEcD5CYD9FSlRH+W81Fdp/lGBC0qgL18qrrK/IvnVX12DA" +
    "CoBQbaKcCLIJLGx37wpqVjE1cjP98I2k1lD2RFp4RSPoUCqtAoHBAMwJHsz+fL8vYDFesbtr63XGs0dgOAVNjk+Iv6XCYem7k0Bd" +
    "8YxH6XloMhOGqOUrT3HkbgMkBoLcA6W+91AeZjrKPWN3I3PkvaOgRGh2jdHbatrmXYEn5YMu26FrhSCbpJwGRg7napU3TR7iCQsG" +
    "sIbCpDN8l+D2EBlmhV3Sgl4QjWXZuqnAY0l9off+SpEcek62Xywzn7+7QjKoZ3V62EIZ2f7vrridS6cEAa7+l9LSTC67I0O1y1r1" +
    "sKbAjjW0qwKBwQCwWWKYv8Fdpbl7pzoWJqMusDmULrVqiG+k0sgXxUfAOamO5BqINpjrV0tpuSyIIEtAKzmZHPm6SK7vK+6FgDoK" +
    "8k+x6I7HMIllkkER58B2eua0jwuoLyYQ2SBcQP32I+8uwTvLP1vJU8fIdgchw+//i74AQZw7Rh2ypGE03JtYSp5hEF4ciWNmwDGS" +
    "dfgBjo2yCFDNhJ+6oOVDkhokDGMhsCu38QeH9/TZT4S6szkP/1Xg9WEJ68pxRzRkvTZVcI0CgcBakmHd1cpChCFLSSHUdN+c9It4" +
    "z7mOgRL/M1D/n/4e52lCVXF4OCPoBNzV1hz7PfKSODitpDxPsqLb3J2kLxpqVoRRtv1B4PRdwjMbvCTQV3pjmYdAYhl71j0gtr3t" +
    "76luqUpIK2ogut+9KdGh12JdL+H8CP7SmegjnmLtdxjv8KET6Ub3O7PXV7GiiHtJVz7j2gj9ch0j21hTbHYgrFt7XEZs6LDCuvBu" +
    "P1UP/Wwf5cJzrBbHY9fVlOLJ4wg9xukCgcEAiPqbB9iU7Xzkj+P1VtnvFXl3E3yBdXBnYcJspUasAQ06G+Xj0FcrL8tpRlwWBDFh" +
    "U9BEOqevP31ndfjKLel/Mnwp7vNuOZJpig7GhByNIJZd9yCPfUEESS83GyXr2SZBAP+LrILlIeynO+UnyJVuTrzgvj4Ei/DheNCu" +
    "8p9iLtbpDq951pyfO+CHvayCk6pmGq+gaQWuG4BL+iLJouCSQ9Wh2ct0md+94EZSt/ZDR35nlRou/89c0lWDlFBD0u0F",
);
