from greenroom.runtime.cli import main

main()
