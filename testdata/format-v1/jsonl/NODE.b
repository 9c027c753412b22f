{"version":1,"id":"01900000-0000-7000-8000-000000000001","incarnation":1,"clean":true}
#gen=2 crc=38e1b245
