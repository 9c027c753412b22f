v2 seq=11 epoch=1
#gen=2 crc=e28b4807
