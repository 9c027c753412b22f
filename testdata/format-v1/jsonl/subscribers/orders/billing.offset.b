v2 seq=5 epoch=1
#gen=2 crc=bb2c2c0b
