{"index":9,"first_seq":1,"deleted":[{"first_seq":4,"slots":"AQE="}]}
#gen=2 crc=d6c20cfe
