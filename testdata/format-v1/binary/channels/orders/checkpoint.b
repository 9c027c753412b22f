{"index":12,"first_seq":2,"deleted":[{"first_seq":1,"slots":"AQk="},{"first_seq":5,"slots":"AQY="}]}
#gen=2 crc=b625030e
