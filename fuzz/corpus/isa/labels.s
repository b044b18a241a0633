start: r0 = 0
if r1 == 0 goto out ; c
call f
goto start
out:
exit
f: r1 = subprog[f] ll
exit
